//! Properties of definitions files, over texts nobody thought of.

use proptest::prelude::*;

use super::*;
use crate::model::{AuthDraft, Draft, Secret, tests as drafts};

fn draft() -> impl Strategy<Value = Draft> {
    let text = "\\PC{1,20}|.{1,20}|(file|env|secret):.{0,9}|[\\x00-\\x1f\"'\\\\]{1,9}";
    let millis = prop::option::of(1_u64..86_400_000);
    let alias = prop::option::of("[^\\s\\p{C}]{1,12}");
    (text, text, millis, alias, 1_u32..1000).prop_map(|(password, note, timeout, alias, weight)| {
        let mut draft = drafts::least();
        draft.auth = Some(AuthDraft {
            password: Some(Secret::Plain(password)),
            users: Vec::new(),
        });
        draft.annotations.insert(note.clone(), note.clone());
        draft.selector.labels.insert("note".to_owned(), note);
        draft.read_timeout = timeout.map(std::time::Duration::from_millis);
        draft.endpoints[0].alias = alias;
        draft.endpoints[0].weight = Some(weight);
        draft
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_definition_is_read_as_it_is_rendered(draft in draft()) {
        let text = render_drafts([&draft]);
        let manifest = parse("f", &text).map_err(|errors| TestCaseError::fail(format!("{text}\n{errors}")))?;
        prop_assert_eq!(manifest.clusters[0].draft(), &draft);
    }

    #[test]
    fn no_text_breaks_the_reader(text in "(\\[\\[clusters\\]\\]|[a-z_]{1,9} = |[\\[\\]{}\",=.\n0-9]|\\PC){0,40}") {
        let _ = parse("f", &text);
    }

    #[test]
    fn any_changed_letter_is_read_or_told(at in 0_usize..2000, letter in any::<char>()) {
        let mut text: Vec<char> = render_drafts([&drafts::full()]).chars().collect();
        let at = at % text.len();
        text[at] = letter;
        let text: String = text.into_iter().collect();
        if let Err(errors) = parse("f", &text) {
            prop_assert!(errors.iter().all(|error| error.line >= 1 && error.col >= 1));
        }
    }
}
