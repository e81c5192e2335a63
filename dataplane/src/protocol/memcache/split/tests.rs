//! Parts of retrievals, what their replies make, and requests that want no answer.

use super::*;

fn merged(line: &str, parts: &[(&[u32], &str)], errors: PartErrors) -> String {
    let mut keys = Vec::new();
    let mut at = 0;
    for word in line.split(' ') {
        keys.push(at..at + word.len() as u32);
        at += word.len() as u32 + 1;
    }
    let parts: Vec<_> = parts
        .iter()
        .map(|(indexes, reply)| Part {
            indexes,
            reply: reply.as_bytes(),
        })
        .collect();
    let mut out = b"before".to_vec();
    merge(&mut out, line.as_bytes(), &keys, &parts, errors);
    String::from_utf8(out.split_off(6)).unwrap()
}

fn value(key: &str, data: &str) -> String {
    format!("VALUE {key} 0 {}\r\n{data}\r\n", data.len())
}

#[test]
fn retrieval_is_written_with_its_time_first() {
    let mut out = Vec::new();
    append_retrieval(&mut out, "get", None, [&b"a"[..], b"b"]);
    append_retrieval(&mut out, "gats", Some(b"10"), [&b"c"[..]]);
    assert_eq!(out, b"get a b\r\ngats 10 c\r\n");
}

#[test]
fn values_are_put_in_the_order_of_keys() {
    let left = format!(
        "{}{}END\r\n",
        value("b", "VALUE b 0 1\r\n"),
        value("b", "2")
    );
    let right = format!("{}END\r\n", value("c", "END\r\n"));
    let whole = merged(
        "a b c b",
        &[(&[1, 3], &left), (&[0, 2], &right)],
        PartErrors::Fail,
    );
    let expected = [
        value("b", "VALUE b 0 1\r\n"),
        value("c", "END\r\n"),
        value("b", "2"),
        "END\r\n".to_owned(),
    ];
    assert_eq!(whole, expected.concat());
}

#[test]
fn failed_part_of_a_retrieval_follows_the_policy() {
    let good = format!("{}END\r\n", value("b", "1"));
    let half = format!("{}SERVER_ERROR out of memory\r\n", value("a", "1"));
    let parts: [(&[u32], &str); 2] = [(&[1], &good), (&[0, 2], &half)];
    let whole = |errors| merged("a b c", &parts, errors);
    assert_eq!(whole(PartErrors::Fail), "SERVER_ERROR out of memory\r\n");
    assert_eq!(whole(PartErrors::Element), "SERVER_ERROR out of memory\r\n");
    assert_eq!(
        whole(PartErrors::Nil),
        [value("a", "1"), value("b", "1"), "END\r\n".to_owned()].concat()
    );
}

#[test]
fn noreply_is_taken_off_the_line_only() {
    let cases = [
        (
            "set a 0 0 7 noreply\r\nnoreply\r\n",
            "set a 0 0 7\r\nnoreply\r\n",
            19,
        ),
        ("delete a  noreply  \n", "delete a\n", 19),
        ("delete noreply noreply\r\n", "delete noreply\r\n", 22),
        ("incr a 1\r\n", "incr a 1\r\n", 8),
        ("delete a\t noreply\r\n", "delete a\t\r\n", 17),
        ("delete a\r  noreply \r\n", "delete a\r\r\n", 19),
    ];
    for (raw, expected, line) in cases {
        let mut out = Vec::new();
        without_noreply(&mut out, raw.as_bytes(), &(0..line));
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn flag_is_taken_out_with_the_blank_before_it() {
    for (raw, span, expected) in [
        (&b"mg a q\r\n"[..], 5..6, &b"mg a\r\n"[..]),
        (b"mg a q v\r\n", 5..6, b"mg a v\r\n"),
        (b"mg a  qx  v\r\n", 6..8, b"mg a   v\r\n"),
        (b"ms a 1 q\r\nq\r\n", 7..8, b"ms a 1\r\nq\r\n"),
    ] {
        let mut out = Vec::new();
        without_flag(&mut out, raw, &span);
        assert_eq!(out, expected);
    }
}
