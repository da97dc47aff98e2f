//! Where a log begins: at record 1, or behind what was pruned.

use super::{AnchorFinding, Damage, Pass};
use crate::audit::log::cursor::Line;
use crate::audit::log::error::{InputError, ReadError};
use crate::audit::proof::pruned;
use crate::audit::record::event::Event;
use crate::audit::tree::{Frontier, Hash};

impl Pass<'_> {
    /// Takes the first line of the log.
    pub(super) fn begin(&mut self, line: &Line<'_>) -> Result<(), ReadError> {
        let segment = line.segment;
        self.started = true;
        self.report.first_seq = segment.first_seq;
        if segment.first_seq == 1 {
            return Ok(());
        }
        self.expected = segment.first_seq;
        self.range.from = segment.first_seq;
        let head = line.record().filter(|record| record.is(Event::Checkpoint));
        let head = head.and_then(|record| record.tree());
        self.tree = head.filter(|tree| tree.size() == segment.first_seq - 1);
        let gone = segment.first_seq - 1;
        let Some(root) = self.tree.as_ref().map(Frontier::root) else {
            let text = "the log begins here, and nothing vouches for what was before";
            self.damage(Damage::Missing, 1, gone, &segment.name(), Some(1), text);
            while self.anchored.front().is_some_and(|anchor| anchor.size < gone) {
                self.anchor(AnchorFinding::Gone);
            }
            return Ok(());
        };
        let file = self.log.beside(pruned::FILE);
        let (log, keys) = (self.log, self.keys);
        let is_true = |text: Option<&str>, size, root| keys.deny_nothing_of(text, size, root);
        let each = |size, root| self.at_link(size, Some(root));
        let found = pruned::verify(log, (gone, root), is_true, each);
        match found.map_err(|error| InputError::of(&file, error))? {
            Ok(checkpoints) => self.report.pruned = Some((gone, checkpoints)),
            Err(text) => {
                self.damage(Damage::Missing, 1, gone, &file.display().to_string(), None, &text);
            }
        }
        self.at_link(gone, None);
        self.at_size();
        Ok(())
    }

    /// Compares anchored checkpoints of what was pruned.
    fn at_link(&mut self, size: u64, root: Option<Hash>) {
        while let Some(anchor) = self.anchored.front().filter(|anchor| anchor.size <= size) {
            let here = anchor.size == size;
            match root {
                // That of the tree with which the rest begins is compared there.
                None if here => return,
                Some(root) if here && root == anchor.root => self.anchor(AnchorFinding::Agrees),
                _ => self.anchor(AnchorFinding::Differs),
            }
        }
    }
}
