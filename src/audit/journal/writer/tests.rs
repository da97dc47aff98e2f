use super::*;
use crate::audit::journal::strangers::Strangers;
use crate::audit::{MemoryStore, NoObserver, Stage};
use crate::domain::SystemClock;

/// What is due at once for ever would keep the writer busy for ever.
#[test]
fn once_the_log_is_broken_nothing_is_due() {
    let (clock, observer) = (Arc::new(SystemClock), Arc::new(NoObserver));
    let queue = Arc::new(Queue::new(observer, clock, Strangers::new(0)));
    let settings =
        JournalSettings { checkpoint_interval: Duration::ZERO, ..JournalSettings::default() };
    let mut store = MemoryStore::default();
    store.begin(1, 0).unwrap();
    let mut writer = Writer::new(store.clone(), queue, Arc::new(settings), Frontier::default(), 1);
    assert!(writer.next_due().is_some_and(|due| due <= Instant::now()));
    store.fail(Stage::Sync, 1);
    writer.unsettled = (1, Some(Instant::now()));
    writer.commit(Vec::new());
    assert!(writer.broken.is_some());
    assert_eq!(writer.next_due(), None);
}
