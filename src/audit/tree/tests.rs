use super::*;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn frontier(leaves: &[Vec<u8>]) -> Frontier {
    let mut frontier = Frontier::default();
    for leaf in leaves {
        frontier.push(Hash::of_leaf(leaf));
    }
    frontier
}

/// The leaves and roots that implementations of RFC 6962 are commonly tested with.
#[test]
fn published_roots() {
    let leaves: Vec<Vec<u8>> = vec![
        vec![],
        vec![0x00],
        vec![0x10],
        vec![0x20, 0x21],
        vec![0x30, 0x31],
        vec![0x40, 0x41, 0x42, 0x43],
        (0x50..=0x57).collect(),
        (0x60..=0x6f).collect(),
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    for (size, root) in roots.iter().enumerate() {
        assert_eq!(hex(&frontier(&leaves[..size]).root().0), *root, "{size} leaves");
    }
}

#[test]
fn an_edge_has_as_many_subtrees_as_its_size_has_ones() {
    let edge = frontier(&vec![vec![1]; 13]);
    assert_eq!(edge.subtrees().map(|(height, _)| height).collect::<Vec<_>>(), [3, 2, 0]);
    let nodes = edge.nodes().to_vec();
    assert_eq!(Frontier::from_nodes(13, nodes.clone()), Some(edge));
    assert_eq!(Frontier::from_nodes(12, nodes), None);
}

/// The leaves of a tree, how many of them are known as an edge only, and two numbers to
/// choose with.
fn case() -> impl Strategy<Value = (Vec<Vec<u8>>, u64, u64, u64)> {
    (1_u64..150).prop_flat_map(|size| {
        let leaves = proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..5),
            usize::try_from(size).unwrap(),
        );
        (leaves, 0..=size, 0..size, 1..=size)
    })
}

fn ranges_of(
    leaves: &[Vec<u8>],
    known: u64,
    ranges: Vec<std::ops::Range<u64>>,
) -> Option<Vec<Hash>> {
    let known = usize::try_from(known).unwrap();
    let mut hashes = RangeHashes::new(ranges, &frontier(&leaves[..known]));
    for leaf in &leaves[known..] {
        hashes.push(Hash::of_leaf(leaf));
    }
    hashes.finish()
}

type Theirs = MemoryBackedTree<sha2::Sha256, Vec<u8>>;

fn theirs(leaves: &[Vec<u8>]) -> Theirs {
    let mut tree = Theirs::new();
    for leaf in leaves {
        tree.push(leaf.clone());
    }
    tree
}

fn bytes_of(proof: &[Hash]) -> Vec<u8> {
    proof.iter().flat_map(|hash| hash.0).collect()
}

proptest! {
    /// Beside an independent implementation: the same roots and proofs, from the leaves
    /// alone and from an edge and the leaves after it.
    #[test]
    fn roots_and_proofs_are_those_of_another_implementation((leaves, known, index, old) in case()) {
        let size = leaves.len() as u64;
        let tree = theirs(&leaves);
        let root = frontier(&leaves).root();
        let their_root = tree.root();
        prop_assert_eq!(&root.0[..], &their_root.as_bytes()[..]);

        let at = usize::try_from(index).unwrap();
        let known = known.min(index);
        let proof = ranges_of(&leaves, known, inclusion_ranges(index, size)).unwrap();
        prop_assert_eq!(bytes_of(&proof), tree.prove_inclusion(at).as_bytes().to_vec());
        let leaf = Hash::of_leaf(&leaves[at]);
        prop_assert!(proves_inclusion(index, size, leaf, &proof, root));

        let known = known.min(old);
        let proof = ranges_of(&leaves, known, consistency_ranges(old, size)).unwrap();
        let added = usize::try_from(size - old).unwrap();
        let old_root = frontier(&leaves[..usize::try_from(old).unwrap()]).root();
        if added > 0 {
            let theirs = tree.prove_consistency(added).as_bytes().to_vec();
            prop_assert_eq!(bytes_of(&proof), theirs);
        }
        prop_assert!(proves_consistency((old, old_root), (size, root), &proof));
    }

    /// Whatever is changed in what a proof is about, it proves nothing any more.
    #[test]
    fn a_proof_of_something_else_is_none((leaves, _, index, old) in case(), flip in any::<(usize, usize)>()) {
        let size = leaves.len() as u64;
        let root = frontier(&leaves).root();
        let spoilt = |mut proof: Vec<Hash>| {
            let count = proof.len();
            proof.get_mut(flip.0 % count.max(1)).map(|hash| hash.0[flip.1 % 32] ^= 1)?;
            Some(proof)
        };
        let leaf = Hash::of_leaf(&leaves[usize::try_from(index).unwrap()]);
        let proof = ranges_of(&leaves, 0, inclusion_ranges(index, size)).unwrap();
        prop_assert!(!proves_inclusion(index, size, Hash::of_leaf(b"another"), &proof, root));
        prop_assert!(!proves_inclusion(index, size, leaf, &proof, leaf) || size == 1);
        let longer = [&proof[..], &[leaf]].concat();
        prop_assert!(!proves_inclusion(index, size, leaf, &longer, root));
        if let Some(proof) = spoilt(proof) {
            prop_assert!(!proves_inclusion(index, size, leaf, &proof, root));
        }
        let old_root = frontier(&leaves[..usize::try_from(old).unwrap()]).root();
        let proof = ranges_of(&leaves, 0, consistency_ranges(old, size)).unwrap();
        let longer = [&proof[..], &[leaf]].concat();
        prop_assert!(!proves_consistency((old, old_root), (size, root), &longer));
        prop_assert!(!proves_consistency((old, Hash::of_leaf(b"another")), (size, root), &proof));
        prop_assert!(!proves_consistency((old, old_root), (size, Hash::of_leaf(b"x")), &proof));
        if let Some(proof) = spoilt(proof) {
            prop_assert!(!proves_consistency((old, old_root), (size, root), &proof));
        }
    }
}
