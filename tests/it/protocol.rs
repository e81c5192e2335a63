//! Bytes as no library sends them: odd requests and broken protocol, answered and closed as one server does.

use prism_tests::{raw::Raw, redis::Redis};

use crate::pool::Pool;

/// Sends `bytes`, says that nothing more comes unless they end with QUIT, and reads all that is answered.
///
/// Whoever says that nothing more comes waits for nobody: a blocking command is then called off.
fn whole_answer(addr: &str, bytes: &[u8]) -> String {
    let mut client = Raw::connect(addr);
    client.send(bytes);
    if !bytes.ends_with(b"QUIT\r\n") {
        client.finish();
    }
    let answer = client.rest();
    format!("{}", answer.escape_ascii())
}

/// What the proxy says of commands that it does not serve yet.
const UNSERVED: &str = "is not supported by this version";

/// The answer without the number of the connection that HELLO tells.
fn nameless(answer: &str) -> String {
    let mark = "id\\r\\n:";
    let mut parts = answer.split(mark);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        all + mark + part.trim_start_matches(|letter: char| letter.is_ascii_digit())
    })
}

/// Compares the whole answers to each of `cases`.
#[track_caller]
fn compare(cases: &[&[u8]]) {
    let (pool, server) = (Pool::start(2), Redis::start());
    let differences: Vec<_> = cases
        .iter()
        .filter_map(|bytes| {
            let truth = whole_answer(&server.addr(), bytes);
            let answer = whole_answer(&pool.listen, bytes);
            let told = format!(
                "{}\n  proxy:  {answer}\n  server: {truth}",
                bytes[..bytes.len().min(80)].escape_ascii()
            );
            let is_equal = nameless(&answer) == nameless(&truth);
            (!is_equal && !answer.contains(UNSERVED)).then_some(told)
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn inline_requests_are_read_as_one_server_reads_them() {
    compare(&[
        b"PING\n",
        b"ping\r\n",
        b"  PING  \r\n",
        b"\r\n\r\nPING\r\n",
        b"\n \nPING\r\n",
        b"SET k \"a b\"\r\nGET k\r\n",
        b"ECHO \"\\x41\\n\\r\\t\\a\\b\\q\\\"\"\r\n",
        b"ECHO 'it\\'s'\r\n",
        b"ECHO ''\r\n",
        b"ECHO \"a\"b\r\nPING\r\n",
        b"ECHO \"a\r\nPING\r\n",
        b"ECHO 'a\r\n",
        b"ECHO a\"b\"\r\n",
        b"PING \x0b a\r\n",
        b"+PING\r\n",
        b"$4\r\nPING\r\n",
        b"POST / HTTP/1.1\r\n\r\nPING\r\n",
        b"host: x\r\nPING\r\n",
        b"NOSUCH a b\r\n",
        b"NOSUCH\r\nPING\r\n",
        b"\"\"\r\nPING\r\n",
        b"PING a b\r\n",
        b"PING\r\r\n",
        b"PING",
    ]);
}

#[test]
fn broken_protocol_is_refused_in_the_words_of_one_server() {
    let long_count = [&b"*"[..], &b"1".repeat(70_000)].concat();
    let long_length = [&b"*1\r\n$"[..], &b"1".repeat(70_000)].concat();
    let long_line = b"A".repeat(70_000);
    compare(&[
        b"*0\r\n*1\r\n$4\r\nPING\r\n",
        b"*-1\r\n*1\r\n$4\r\nPING\r\n",
        b"*-5\r\nPING\r\n",
        b"*\r\n*1\r\n$4\r\nPING\r\n",
        b"*a\r\nPING\r\n",
        b"*1a\r\nPING\r\n",
        b"* 1\r\n$4\r\nPING\r\n",
        b"*+1\r\n$4\r\nPING\r\n",
        b"*01\r\n$4\r\nPING\r\n",
        b"*2147483648\r\nPING\r\n",
        b"*9223372036854775808\r\nPING\r\n",
        b"*1\r\nPING\r\n",
        b"*1\r\n:4\r\nPING\r\n",
        b"*1\r\n\r\nPING\r\n",
        b"*1\r\n$\r\nPING\r\n",
        b"*1\r\n$-1\r\nPING\r\n",
        b"*1\r\n$a\r\nPING\r\n",
        b"*1\r\n$04\r\nPING\r\n",
        b"*1\r\n$536870913\r\nPING\r\n",
        b"*1\r\n$99999999999999999999\r\nPING\r\n",
        b"*1\r\n$4\r\nPING\r\n*1\r\n$x\r\n*1\r\n$4\r\nPING\r\n",
        b"*1\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n",
        b"*2\r\n$0\r\n\r\n$1\r\na\r\n",
        b"*1\r\n$4\r\nPIN",
        b"*2\r\n$4\r\nPING\r\n",
        &long_count,
        &long_length,
        &long_line,
    ]);
}

#[test]
fn odd_arguments_are_refused_in_the_words_of_one_server() {
    let long_name = [&b"N".repeat(300)[..], b" a\r\n"].concat();
    let long_words = [
        b"NOSUCH ",
        &b"w".repeat(90)[..],
        b" ",
        &b"x".repeat(90)[..],
        b" y\r\n",
    ]
    .concat();
    compare(&[
        b"PING a b\r\nPING a\r\n",
        b"ECHO\r\nECHO a b\r\n",
        b"GET\r\nGET a b\r\nget a b\r\nGeT\r\n",
        b"SET a\r\nSET\r\n",
        b"OBJECT\r\nOBJECT NOSUCH\r\nOBJECT ENCODING\r\nobject encoding a b\r\nOBJECT HELP x\r\n",
        b"CLIENT\r\nCLIENT NOSUCH a b\r\nCLIENT ID x\r\nCLIENT SETNAME\r\n",
        b"CONFIG\r\nXINFO\r\nXGROUP\r\nXGROUP NOSUCH a\r\nXGROUP CREATE a\r\nXINFO STREAM\r\n",
        b"HELLO x\r\nHELLO 1\r\nHELLO 4\r\nHELLO 2 x\r\nHELLO 2 AUTH\r\nHELLO 2 AUTH a\r\nHELLO 2 SETNAME\r\nHELLO 9223372036854775808\r\n",
        b"HELLO 2 SETNAME \"a b\"\r\nHELLO 2 AUTH default wrong\r\nHELLO 2 AUTH a b SETNAME c\r\nCLIENT GETNAME\r\n",
        b"HELLO 3 SETNAME\r\nHELLO 3 AUTH a b\r\nPING\r\n",
        b"CLIENT SETNAME \"a b\"\r\nCLIENT SETNAME \"a\\nb\"\r\nCLIENT SETNAME \"\"\r\nCLIENT GETNAME\r\n",
        b"AUTH\r\nAUTH a\r\nAUTH a b\r\nAUTH a b c\r\nAUTH default x\r\n",
        b"SELECT\r\nSELECT x\r\nSELECT -1\r\nSELECT 16\r\nSELECT 99999999999\r\nSELECT 9999999999999999999\r\nSELECT 0 1\r\n",
        b"QUIT\r\nPING\r\n",
        b"QUIT a b\r\nPING\r\n",
        b"SET q 1\r\nGET q\r\nquit\r\nGET q\r\n",
        b"RESET\r\nRESET x\r\nPING\r\n",
        b"EXEC\r\nEXEC x\r\nDISCARD\r\nDISCARD x\r\nUNWATCH x\r\nWATCH\r\nMULTI x\r\n",
        b"MULTI\r\nMULTI\r\nEXEC\r\n",
        b"MULTI\r\nWATCH a\r\nGET a\r\nEXEC\r\n",
        b"MULTI\r\nNOSUCH\r\nGET a\r\nEXEC\r\nEXEC\r\n",
        b"MULTI\r\nGET\r\nDISCARD\r\nGET a\r\n",
        b"MULTI\r\nEXEC x\r\nGET a\r\nEXEC\r\n",
        b"MULTI\r\nEXEC\r\n",
        b"MULTI\r\nSET m 1\r\nINCR m\r\nLPUSH m a\r\nEXEC\r\n",
        b"SUBSCRIBE\r\nPSUBSCRIBE\r\nSSUBSCRIBE\r\nUNSUBSCRIBE\r\nPUNSUBSCRIBE\r\nSUNSUBSCRIBE\r\n",
        b"SUBSCRIBE a\r\nGET a\r\nPING\r\nPING x\r\nUNSUBSCRIBE a\r\nGET a\r\n",
        b"SUBSCRIBE a b a\r\nPSUBSCRIBE p*\r\nUNSUBSCRIBE b\r\nUNSUBSCRIBE\r\nPUNSUBSCRIBE\r\nPING\r\n",
        b"SUBSCRIBE a\r\nRESET\r\nPING\r\n",
        b"SUBSCRIBE a\r\nQUIT\r\n",
        b"SUBSCRIBE a\r\nMULTI\r\nNOSUCH\r\nGET\r\n",
        b"CLIENT REPLY\r\nCLIENT REPLY x\r\nCLIENT REPLY SKIP\r\nPING\r\nECHO a\r\n",
        b"CLIENT REPLY OFF\r\nPING\r\nSET r 1\r\nCLIENT REPLY ON\r\nGET r\r\n",
        b"CLIENT REPLY SKIP\r\nSET r 2\r\nGET r\r\n",
        b"BLPOP\r\nBLPOP a\r\nBLPOP a x\r\nBLPOP a -1\r\nBLMPOP x 1 a LEFT\r\nXREAD BLOCK x STREAMS a 0\r\nXREAD STREAMS a\r\nXREAD\r\nQUIT\r\n",
        b"EVAL\r\nEVAL x\r\nEVAL \"return 1\" x\r\nEVAL \"return 1\" -1\r\nEVAL \"return 1\" 2 a\r\nEVALSHA abc 0\r\nEVAL \"return 1\" 0\r\nFCALL f 1 a\r\n",
        b"COMMAND GETKEYS\r\nCOMMAND GETKEYS GET\r\nCOMMAND NOSUCH\r\nCOMMAND COUNT x\r\nCOMMAND INFO nosuch\r\n",
        b"WAIT\r\nWAIT x 0\r\nWAIT 0 x\r\nWAIT 0 -1\r\n",
        b"SCAN\r\nSCAN x\r\nSCAN 0 COUNT\r\nSCAN 0 COUNT 0\r\nSCAN 0 COUNT x\r\nSCAN 0 NOSUCH 1\r\n",
        b"MSET a\r\nMSET a 1 b\r\nMSETNX a 1 b\r\nMGET\r\nDEL\r\n",
        b"ZUNION x a\r\nZUNION 0 a\r\nZUNION 2 a\r\nZUNION -1 a\r\nSINTERCARD 0 a\r\nLMPOP 0 a LEFT\r\n",
        b"SORT\r\nSORT a STORE\r\nSORT a LIMIT 0\r\nSORT a NOSUCH\r\nBITOP\r\nBITOP NOSUCH a b\r\nBITOP NOT a b c\r\n",
        &long_name,
        &long_words,
        b"*3\r\n$6\r\nNOSUCH\r\n$5\r\na\r\nb\0\r\n$1\r\n\xff\r\n",
        b"*2\r\n$6\r\nOBJECT\r\n$5\r\na\r\nb\0\r\n",
        b"*1\r\n$5\r\nA\0\r\nB\r\n",
    ]);
}

#[test]
fn large_arguments_pass() {
    let (pool, server) = (Pool::start(2), Redis::start());
    let value = b"v".repeat(3 << 20);
    for addr in [pool.listen.clone(), server.addr()] {
        let mut client = Raw::connect(&addr);
        assert_eq!(
            client.call(&[b"SET", &b"k".repeat(70_000)[..], &value]),
            b"+OK\r\n"
        );
        assert_eq!(client.call(&[b"ECHO", &value[..]]).len(), value.len() + 12);
        let words: Vec<_> = (0..100_000).map(|number| number.to_string()).collect();
        let push = ["RPUSH".to_owned(), "list".to_owned()];
        let push: Vec<_> = push.iter().chain(&words).collect();
        assert_eq!(client.call(&push), b":100000\r\n");
        let range = client.call(&["LRANGE", "list", "0", "-1"]);
        assert!(range.starts_with(b"*100000\r\n"));
    }
}
