//! What a batch begins with, before what others record.

use super::Writer;
use crate::audit::journal::queue::Published;
use crate::audit::journal::settings::JournalSettings;
use crate::audit::journal::store::Store;
use crate::audit::record::encode::{CheckpointEntry, Draft, Suppressed};
use crate::audit::record::event::Event;
use crate::audit::tree::Frontier;
use crate::audit::tree::checkpoint::Checkpoint;

/// What the writer puts before the records of a batch.
#[derive(Default)]
pub(super) struct Head {
    pub(super) drafts: Vec<Draft>,
    pub(super) published: Option<Published>,
    pub(super) suppressed: Option<Suppressed>,
}

impl<S: Store> Writer<S> {
    /// What the batch begins with: a checkpoint of all that is durable, the end of an
    /// outage, a count of strangers.
    pub(super) fn head(&self) -> Head {
        let now = self.queue.clock.now();
        let (records, since) = self.uncovered;
        let old = since.is_some_and(|since| since.elapsed() >= self.settings.checkpoint_interval);
        let due = records > 0 && (records >= self.settings.checkpoint_records_max || old);
        let mut head = Head::default();
        if self.checkpoint_first || due {
            let (draft, published) =
                checkpoint(&self.tree, self.open.first().copied(), &self.settings, now);
            head.drafts.push(draft);
            head.published = Some(published);
        }
        head.drafts.extend(self.outage.as_ref().map(|outage| Draft::outage(outage, now)));
        head.suppressed = self.queue.strangers.take(self.queue.is_closing());
        head.drafts.extend(head.suppressed.as_ref().map(|count| Draft::suppressed(count, now)));
        head
    }

    /// What of a head that was not written has to be tried again, and what of it must
    /// stand first all the same.
    pub(super) fn give_back(&self, head: Head) -> Head {
        if let Some(count) = head.suppressed {
            self.queue.strangers.put_back(count);
        }
        if !self.checkpoint_first {
            return Head::default();
        }
        let drafts =
            head.drafts.into_iter().filter(|draft| draft.kind.event == Event::Checkpoint).collect();
        Head { drafts, published: head.published, suppressed: None }
    }
}

/// A checkpoint of this tree, as a record and as others get it.
pub(in crate::audit) fn checkpoint(
    tree: &Frontier,
    open_from: Option<u64>,
    settings: &JournalSettings,
    now: jiff::Timestamp,
) -> (Draft, Published) {
    let text = settings.signing_key.as_ref().map(|key| Checkpoint::sign(tree, key));
    let entry = CheckpointEntry { tree, open_from, checkpoint: text.as_deref() };
    let draft = Draft::checkpoint(&entry, now);
    (draft, Published { size: tree.size(), root: tree.root().to_base64(), text })
}
