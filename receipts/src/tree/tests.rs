//! Every member has a proof of inclusion, every other path one of absence, and no changed proof passes.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn tree(paths: &BTreeSet<String>) -> Tree {
    let file = |path: &String| FileState { path: path.clone(), bytes: path.len() as u64 };
    Tree::new(paths.iter().rev().map(file).collect()).unwrap()
}

/// Whether a proof shows what is so of a path in a tree with this root and size.
fn passes(proof: &Proof, path: &str, of: &Tree, is_there: bool) -> bool {
    let shown = if is_there { proof.shows(path) } else { proof.shows_absence(path, of.size()) };
    proof.root(of.size()) == Some(of.root()) && shown
}

/// The tree hash of RFC 6962, section 2.1, as it stands there.
fn by_the_definition(files: &[FileState]) -> Hash {
    match files {
        [] => Hash::of_nothing(),
        [file] => Leaf::hash_of(&file.path, file.bytes),
        _ => {
            let mut half = 1;
            while half * 2 < files.len() {
                half *= 2;
            }
            let (left, right) = files.split_at(half);
            Hash::of(Tag::Node, &[&by_the_definition(left).0, &by_the_definition(right).0])
        }
    }
}

/// Every proof that differs from this one in one bit, or lacks or doubles a part.
fn changed(proof: &Proof) -> Vec<Proof> {
    let mut all = Vec::new();
    for (at, node) in proof.nodes.iter().enumerate() {
        for bit in 0..256 {
            let mut other = proof.clone();
            other.nodes[at].0[bit / 8] ^= 1 << (bit % 8);
            all.push(other);
        }
        let mut other = proof.clone();
        other.nodes.remove(at);
        all.push(other);
        let mut other = proof.clone();
        other.nodes.insert(at, *node);
        all.push(other);
    }
    for (at, leaf) in proof.leaves.iter().enumerate() {
        for bit in 0..64 {
            let mut other = proof.clone();
            other.leaves[at].0 ^= 1 << bit;
            all.push(other);
            let mut other = proof.clone();
            other.leaves[at].2 ^= 1 << bit;
            all.push(other);
        }
        let mut other = proof.clone();
        other.leaves[at].1 = format!("{}a", leaf.1);
        all.push(other);
        let mut other = proof.clone();
        other.leaves.remove(at);
        all.push(other);
    }
    all
}

fn paths() -> impl Strategy<Value = BTreeSet<String>> {
    proptest::collection::btree_set("[a-c]{1,3}", 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_path_has_a_proof_of_what_is_so_and_none_of_the_contrary(set in paths(), asked in paths()) {
        let tree = tree(&set);
        prop_assert_eq!(tree.root(), by_the_definition(&tree.files));
        for path in asked.iter().chain(&set) {
            let proof = tree.prove([path.as_str()]);
            let is_there = set.contains(path);
            prop_assert_eq!(tree.holds(path), is_there);
            prop_assert!(passes(&proof, path, &tree, is_there));
            prop_assert!(!passes(&proof, path, &tree, !is_there));
        }
        let all = tree.prove(asked.iter().map(String::as_str));
        prop_assert!(asked.iter().all(|path| passes(&all, path, &tree, set.contains(path))));
        prop_assert!(tree.prove(set.iter().map(String::as_str)).nodes.is_empty());
    }

    #[test]
    fn no_changed_proof_passes(set in paths(), path in "[a-c]{1,3}") {
        let tree = tree(&set);
        let proof = tree.prove([path.as_str()]);
        for other in changed(&proof) {
            prop_assert!(!passes(&other, &path, &tree, true) && !passes(&other, &path, &tree, false));
        }
    }

    #[test]
    fn a_proof_of_another_tree_or_for_another_path_does_not_pass(
        one in paths(), two in paths(), path in "[a-c]{1,3}", other in "[a-c]{1,3}"
    ) {
        let (one, two) = (tree(&one), tree(&two));
        let proof = two.prove([path.as_str()]);
        prop_assert!(one.root() == two.root() || proof.root(one.size()) != Some(one.root()));
        // A proof may be about another path too, but it never says of it what is not so.
        prop_assert!(!passes(&proof, &other, &two, !two.holds(&other)));
    }
}

/// The right subtree of a tree of 5 is one hash, as that of 6 may be: the size must come with the root.
#[test]
fn a_place_means_something_only_with_the_size_of_the_tree() {
    let tree = tree(&["a", "b", "c", "d", "e"].map(str::to_owned).into());
    let last = tree.prove(["f"]);
    assert!(passes(&last, "f", &tree, false));
    assert_eq!((last.leaves.len(), last.leaves[0].0, last.nodes.len()), (1, 4, 1));
    for size in [0, 1, 3, 4, 6, 7, 8, 9, u64::MAX] {
        let is_same = last.root(size) == Some(tree.root());
        assert!(!is_same || !last.shows_absence("f", size), "{size}");
    }
}

#[test]
fn nothing_is_in_a_tree_of_nothing() {
    let empty = tree(&BTreeSet::new());
    let proof = empty.prove(["a"]);
    assert!(passes(&proof, "a", &empty, false) && !passes(&proof, "a", &empty, true));
    let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(empty.root().to_string(), text, "SHA-256 of nothing");
}

#[test]
fn two_files_of_one_path_are_no_tree() {
    let file = |bytes| FileState { path: "a".to_owned(), bytes };
    assert!(Tree::new(vec![file(1), file(2)]).is_err() && Tree::new(vec![file(1)]).is_ok());
}
