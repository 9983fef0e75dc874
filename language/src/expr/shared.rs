//! A sub-expression that all of its users share.
//!
//! Invariants: a copy is a pointer, so that a name that stands for an expression costs one node wherever it is used. What is
//! known of a node (its size written out, its depth, its type, its hash) is worked out once, when the node is made. Two nodes
//! are equal when what they say is equal, wherever they lie; unequal hashes settle it at once.
//! Not here: which nodes there are (`mod.rs`).

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use super::Type;

/// What a node says about itself, from what its children know.
pub trait Node: Hash {
    /// Its nodes when everything that is shared is written out at each use.
    fn size(&self) -> u64;
    /// The longest way down, in nodes.
    fn depth(&self) -> u32;
    /// Its type; none for NULL.
    fn ty(&self) -> Option<Type>;
}

/// A node that is shared.
pub struct Shared<T>(Arc<Known<T>>);

struct Known<T> {
    node: T,
    size: u64,
    depth: u32,
    ty: Option<Type>,
    hash: u64,
    is_normal: bool,
}

impl<T: Node> Shared<T> {
    /// A node to be shared.
    pub fn new(node: T) -> Shared<T> {
        Shared::known(node, false)
    }

    /// A node that is in normal form, which need not be made normal again.
    pub(super) fn of_normal(node: T) -> Shared<T> {
        Shared::known(node, true)
    }

    fn known(node: T, is_normal: bool) -> Shared<T> {
        let (size, depth, ty) = (node.size(), node.depth(), node.ty());
        // Its keys are fixed, so that the same statement is always taken apart in the same steps.
        let mut hasher = DefaultHasher::new();
        node.hash(&mut hasher);
        Shared(Arc::new(Known { node, size, depth, ty, hash: hasher.finish(), is_normal }))
    }
}

impl<T> Shared<T> {
    /// Its nodes when everything that is shared is written out at each use.
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// The longest way down, in nodes.
    pub fn depth(&self) -> u32 {
        self.0.depth
    }

    /// Its type; none for NULL.
    pub fn ty(&self) -> Option<Type> {
        self.0.ty
    }

    pub(super) fn is_normal(&self) -> bool {
        self.0.is_normal
    }
}

impl<T: Clone> Shared<T> {
    /// The node by itself; its children stay shared.
    pub fn into_node(self) -> T {
        Arc::try_unwrap(self.0).map_or_else(|shared| shared.node.clone(), |known| known.node)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Shared<T> {
        Shared(Arc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.node
    }
}

impl<T> AsRef<T> for Shared<T> {
    fn as_ref(&self) -> &T {
        &self.0.node
    }
}

impl<T: Node> From<T> for Shared<T> {
    fn from(node: T) -> Shared<T> {
        Shared::new(node)
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Shared<T>) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.hash == other.0.hash && self.0.node == other.0.node
    }
}

impl<T: Eq> Eq for Shared<T> {}

impl<T> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

/// As the node itself: what is written of an expression does not tell what is shared in it.
impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.node.fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.node.fmt(f)
    }
}
