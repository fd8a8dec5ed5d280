use std::{pin::Pin, task::Context};

use super::*;
use crate::document::example;
use ids::Pid;
use process::StartTime;

fn key(pid: u32) -> ProcessKey {
    ProcessKey {
        pid: Pid(pid),
        start_time: StartTime(1),
    }
}

/// Lets what waits for a document come as far as it can.
async fn start<F: Future>(mut waiting: Pin<&mut F>) {
    std::future::poll_fn(|context: &mut Context<'_>| {
        assert!(waiting.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn one_look_serves_all_who_ask_and_the_next_ones_for_a_while() {
    let documents = Documents::default();
    let mut first = std::pin::pin!(documents.get(key(1), Format::Json));
    let mut second = std::pin::pin!(documents.get(key(1), Format::Dot));
    start(first.as_mut()).await;
    start(second.as_mut()).await;
    assert_eq!(documents.take_wanted(), Some(key(1)));
    assert_eq!(documents.take_wanted(), None);
    documents.answer_with(key(1), &example::document(), Duration::from_secs(5));
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!(first.looked(), second.looked());
    let again = documents.get(key(1), Format::Json).await.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!(documents.take_wanted(), None);
}

#[tokio::test]
async fn no_look_is_made_for_who_went_away() {
    let documents = Documents::default();
    {
        let mut waiting = std::pin::pin!(documents.get(key(1), Format::Json));
        start(waiting.as_mut()).await;
    }
    assert_eq!(documents.take_wanted(), None);
    // Nor does one that is under way by then keep others waiting.
    let mut other = std::pin::pin!(documents.get(key(2), Format::Json));
    {
        let mut waiting = std::pin::pin!(documents.get(key(1), Format::Json));
        start(waiting.as_mut()).await;
        start(other.as_mut()).await;
        assert_eq!(documents.take_wanted(), Some(key(1)));
    }
    assert!(!documents.desk().claim(key(1)));
    assert_eq!(documents.take_wanted(), Some(key(2)));
    assert!(documents.desk().claim(key(2)));
}

#[tokio::test]
async fn a_format_that_comes_too_late_for_a_costly_look_is_told_when_to_ask_again() {
    let documents = Documents::default();
    let mut first = std::pin::pin!(documents.get(key(1), Format::Json));
    start(first.as_mut()).await;
    assert_eq!(documents.take_wanted(), Some(key(1)));
    documents.answer_with(key(1), &example::document(), Duration::from_secs(5));
    first.await.unwrap();
    let desk = documents.desk();
    let known = &desk.processes[&key(1)];
    assert!(known.answer(Format::Folded, Instant::now()).is_none());
    let Err(Refusal::NotYet { retry_after }) = known.answer_late(Format::Folded) else {
        panic!("there is one");
    };
    assert!(retry_after > Duration::from_secs(60), "{retry_after:?}");
}

#[tokio::test]
async fn who_waits_for_what_cannot_be_is_told() {
    let documents = Documents::default();
    let mut failed = std::pin::pin!(documents.get(key(1), Format::Json));
    let mut gone = std::pin::pin!(documents.get(key(2), Format::Json));
    start(failed.as_mut()).await;
    start(gone.as_mut()).await;
    documents.fail(key(1), "unreadable".to_owned());
    // As the process table does after a failure.
    documents.forget(key(1));
    documents.forget(key(2));
    let why = Refusal::Failed("unreadable".to_owned());
    assert_eq!(failed.await.unwrap_err(), why);
    assert_eq!(gone.await.unwrap_err(), Refusal::Gone);
}
