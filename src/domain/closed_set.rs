//! One closed list of words: a type, its words, and all of them, written once.

/// Makes an enumeration whose values have stable words, with `ALL` of them, their `CODES`
/// and `as_str`. What is added is in all three.
macro_rules! closed_set {
    (
        $(#[$about:meta])*
        $visible:vis enum $set:ident { $($(#[$doc:meta])* $name:ident = $code:literal,)+ }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $visible enum $set { $($(#[$doc])* $name,)+ }

        impl $set {
            /// All of them, for metrics, documentation and tests.
            $visible const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Their words.
            $visible const CODES: &'static [&'static str] = &[$($code,)+];

            /// The stable word.
            #[must_use]
            $visible const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }
        }
    };
}

pub(crate) use closed_set;
