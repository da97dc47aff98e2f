use super::*;
use crate::audit::testing::Log;
use crate::note::SigningKey;
use proptest::prelude::*;

impl Log {
    /// Every signed text in the log.
    fn signed_texts(&self) -> Vec<String> {
        let mut found = Vec::new();
        let log = self.reader();
        let walk = Leaves::up_to(&log, 1).unwrap();
        walk.each(|_, line| {
            found.extend(signed_text(line).map(|(_, text)| text));
            true
        })
        .unwrap();
        found
    }
}

#[test]
fn every_covered_record_has_a_proof_that_the_public_key_alone_checks() {
    let log = Log::new(40);
    let key = log.key.verifier();
    let all = log.verify(&[]).records;
    let newest = log.signed_texts().pop().unwrap();
    for seq in 1..all {
        for under in [None, Some(newest.as_str())] {
            let proof = prove(&log.reader(), seq, under).unwrap();
            let text = proof.to_text();
            let read = InclusionProof::parse(&text).unwrap();
            assert_eq!(read, proof);
            let checkpoint = read.check(key).unwrap();
            assert!(checkpoint.size >= seq);
            assert!(under.is_some() || checkpoint.size - seq < 20, "the first that covers it");
            assert!(read.record.contains(&format!("\"seq\":{seq},")));
            assert_eq!(text.matches("request_id").count(), 0, "nothing of others");
        }
    }
    assert!(matches!(prove(&log.reader(), all, None), Err(ProofError::NotCovered(_))));
    assert!(matches!(prove(&log.reader(), all + 1, None), Err(ProofError::NoRecord(_))));
}

#[test]
fn a_proof_that_was_changed_anywhere_is_false() {
    let log = Log::new(20);
    let proof = prove(&log.reader(), 9, None).unwrap();
    let (other, _) = SigningKey::generate("example.org/doors").unwrap();
    assert!(matches!(proof.check(other.verifier()), Err(ProofError::Checkpoint(_))));
    let another =
        InclusionProof { record: proof.record.replace("\"seq\":9", "\"seq\":8"), ..proof.clone() };
    assert!(matches!(another.check(log.key.verifier()), Err(ProofError::False(_))));
    let moved = InclusionProof { seq: 8, ..proof.clone() };
    assert!(matches!(moved.check(log.key.verifier()), Err(ProofError::False(_))));
    let fewer = InclusionProof { hashes: proof.hashes[1..].to_vec(), ..proof };
    assert!(matches!(fewer.check(log.key.verifier()), Err(ProofError::False(_))));
}

#[test]
fn later_checkpoints_continue_earlier_ones_and_no_others() {
    let log = Log::new(40);
    let key = log.key.verifier();
    let all: Vec<Checkpoint> =
        log.signed_texts().iter().map(|text| Checkpoint::verify(text, key).unwrap()).collect();
    for (at, old) in all.iter().enumerate() {
        for new in &all[at..] {
            let proof = consistency(&log.reader(), old, new).unwrap();
            let read = ConsistencyProof::parse(&proof.to_text()).unwrap();
            assert!(read.check(old, new).is_ok());
        }
    }
    let (first, last) = (&all[0], &all[all.len() - 1]);
    assert!(matches!(consistency(&log.reader(), last, first), Err(ProofError::WrongWay(..))));
    let other = Log::new(40);
    assert!(matches!(consistency(&other.reader(), first, last), Err(ProofError::Damaged)));
    let proof = consistency(&log.reader(), first, last).unwrap();
    let forged = Checkpoint { root: first.root, ..last.clone() };
    assert!(proof.check(first, &forged).is_err());
    let longer = Checkpoint { size: last.size + 100, ..last.clone() };
    assert!(matches!(consistency(&log.reader(), first, &longer), Err(ProofError::Truncated(..))));
}

#[test]
fn a_damaged_log_gives_no_proof() {
    let log = Log::new(20);
    let path = log.reader().list().unwrap()[0].path.clone();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"desk\"", "\"disk\"", 1)).unwrap();
    assert!(matches!(prove(&log.reader(), 3, None), Err(ProofError::Damaged)));
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "(c2sp.org/tlog-proof@v1\n)?(extra e30=\n)?(index [0-9]{1,20}\n)?[A-Za-z=\n\u{2014} ]{0,60}") {
        let (key, _) = SigningKey::generate("a").unwrap();
        if let Ok(proof) = InclusionProof::parse(&text) {
            prop_assert!(proof.check(key.verifier()).is_err());
        }
        let _ = ConsistencyProof::parse(&text);
    }
}

/// Whoever has the key could put a record at another's place.
#[test]
fn a_record_whose_number_is_not_its_place_proves_nothing() {
    let (key, _) = SigningKey::generate("a").unwrap();
    let record = r#"{"v":1,"seq":5}"#.to_owned();
    let mut tree = Frontier::default();
    tree.push(Hash::of_leaf(record.as_bytes()));
    let checkpoint = Checkpoint::sign(&tree, &key);
    let proof = InclusionProof { record, seq: 1, hashes: Vec::new(), checkpoint };
    assert!(matches!(proof.check(key.verifier()), Err(ProofError::False(_))));
}
