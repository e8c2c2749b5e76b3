//! What a runtime tells of the kernel's features that it builds on: the same words for every runtime.

/// What a runtime finds when it tries out, one by one, what it would like of the kernel.
#[derive(Debug, Default)]
pub struct Examined {
    /// The features, in the order in which they build on one another. None where a runtime needs nothing special.
    pub features: Vec<Feature>,
    /// All that a worker may ask for through what the runtime holds open, where the kernel holds it to a list.
    pub permits: Vec<Permit>,
}

/// A feature of the kernel, and what a functional self-test found.
#[derive(Clone, Debug)]
pub struct Feature {
    /// Its name, in lower case with hyphens.
    pub name: &'static str,
    /// What it is for, in one sentence.
    pub purpose: &'static str,
    /// Whether the runtime can do without it.
    pub need: Need,
    /// What the self-test found.
    pub outcome: Outcome,
}

/// Whether a runtime can do without a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Without it the runtime does not run.
    Needed,
    /// Without it the runtime does the same in a dearer way.
    Better,
}

/// Whether a feature works and is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed its self-test and is used.
    Active,
    /// It passed its self-test and is not used; why.
    Off(String),
    /// It cannot be used.
    Unavailable {
        /// What the self-test found.
        why: String,
        /// What to change so that it can be used.
        change: String,
    },
}

/// One thing that a worker may ask of the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Permit {
    /// Its name in the kernel's headers.
    pub name: &'static str,
    /// What it is used for.
    pub purpose: &'static str,
}
