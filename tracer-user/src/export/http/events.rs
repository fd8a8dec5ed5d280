//! `/api/v1/events`: the list of processes whenever it has changed, at most once a second, and now and then, as
//! server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_stream::{Stream, wrappers::ReceiverStream};

use crate::{daemon::process_table::ProcessTable, export::json};

/// How long changes are gathered into one event.
const PACE: Duration = Duration::from_secs(1);
/// The list is sent so often in any case: what it says of when processes were looked at grows old.
const LONGEST: Duration = Duration::from_secs(5);
/// A stream ends after so long, so that its place can be another one's; clients ask again.
const MAX_LIFE: Duration = Duration::from_secs(3_600);
/// A comment so often, so that idle streams are not taken for dead ones.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The stream of one client. A slow one gets the newest list when it is ready for it.
pub async fn events(
    State(board): State<Arc<ProcessTable>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(timeout(MAX_LIFE, follow(board, sender)));
    Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

async fn follow(board: Arc<ProcessTable>, client: mpsc::Sender<Result<Event, Infallible>>) {
    let mut changes = board.changes();
    loop {
        changes.mark_unchanged();
        // Numbers and strings always serialise.
        let Ok(list) = json::to_string(&board.list()) else {
            return;
        };
        let event = Event::default().event("processes").data(list);
        if client.send(Ok(event)).await.is_err() {
            return;
        }
        sleep(PACE).await;
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = sleep(LONGEST) => {}
            () = client.closed() => return,
        }
    }
}
