//! Finding a row by name, case ignored, through an index built by the compiler.

use super::Command;
use super::newer::NEWER;
use super::table::ROWS;

/// Every row of Redis 7.0, in the order of names.
pub fn all() -> &'static [Command] {
    ROWS
}

/// Returns every row there is, the newer ones last; a row's place here is its [`Command::row`].
pub fn rows() -> impl Iterator<Item = &'static Command> {
    ROWS.iter().chain(NEWER)
}

impl Command {
    /// Its number among all [`rows`]; none when it is in no table.
    #[inline]
    pub fn row(&self) -> Option<usize> {
        let place = std::ptr::from_ref(self).addr();
        let within = |rows: &'static [Self]| {
            let offset = place.checked_sub(rows.as_ptr().addr())?;
            let row = offset / size_of::<Self>();
            (row < rows.len()).then_some(row)
        };
        within(ROWS).or_else(|| Some(ROWS.len() + within(NEWER)?))
    }
}

/// Finds a command or container by `name` in any case; a subcommand is not found here.
#[inline]
pub fn lookup(name: &[u8]) -> Option<&'static Command> {
    let mut at = bucket(name)?;
    loop {
        let row = row(usize::from(*INDEX.get(at)?))?;
        if row.name.as_bytes().eq_ignore_ascii_case(name) {
            return Some(row);
        }
        at = (at + 1) % BUCKETS;
    }
}

/// Finds the subcommand `sub`, in any case, of `container`.
pub fn lookup_sub(container: &Command, sub: &[u8]) -> Option<&'static Command> {
    let (head, tail) = (container.name.bytes(), sub.iter());
    let wanted = || {
        let tail = tail.clone().map(u8::to_ascii_lowercase);
        head.clone().chain([b'|']).chain(tail)
    };
    [ROWS, NEWER].into_iter().find_map(|rows| {
        let found = rows.binary_search_by(|row| row.name.bytes().cmp(wanted()));
        rows.get(found.ok()?)
    })
}

/// Rows are numbered through, the newer ones last.
#[inline]
fn row(at: usize) -> Option<&'static Command> {
    ROWS.get(at)
        .or_else(|| NEWER.get(at.wrapping_sub(ROWS.len())))
}

const BUCKETS: usize = 1024;
const VACANT: u16 = u16::MAX;
/// Open addressing over the names without `|`; holds row numbers, built when the crate is compiled.
static INDEX: [u16; BUCKETS] = index();

/// Where the search for a name begins: its length, three of its letters, case ignored.
#[inline]
const fn bucket(name: &[u8]) -> Option<usize> {
    let (Some(first), Some(last), Some((_, back))) = (
        name.first(),
        name.last(),
        name.split_at_checked(name.len() / 2),
    ) else {
        return None;
    };
    let Some(middle) = back.first() else {
        return None;
    };
    let letters = u32::from_le_bytes([*first | 0x20, *middle | 0x20, *last | 0x20, 0]);
    let mixed = (letters ^ (name.len() as u32) << 24).wrapping_mul(0x9E37_79B1);
    Some((mixed >> 22) as usize % BUCKETS)
}

#[expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "runs only in the compiler, where a wrong index fails the build"
)]
const fn index() -> [u16; BUCKETS] {
    let mut index = [VACANT; BUCKETS];
    let mut row = 0;
    while row < ROWS.len() + NEWER.len() {
        let command = if row < ROWS.len() {
            &ROWS[row]
        } else {
            &NEWER[row - ROWS.len()]
        };
        let name = command.name.as_bytes();
        if !contains(name, b'|') {
            let Some(mut at) = bucket(name) else {
                panic!("a command without a name")
            };
            while index[at] != VACANT {
                at = (at + 1) % BUCKETS;
            }
            index[at] = row as u16;
        }
        row += 1;
    }
    index
}

const fn contains(text: &[u8], wanted: u8) -> bool {
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        if *first == wanted {
            return true;
        }
        rest = tail;
    }
    false
}
