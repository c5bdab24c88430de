//! The paging algorithm against a model of the server: any list, both meanings, rows coming and going meanwhile.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::convert::Infallible;

use futures_util::FutureExt as _;
use proptest::prelude::*;

use super::place::span;
use super::*;
use crate::limits::DATAARTS_SPAN_MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item {
    id: u64,
    plan: i64,
}

impl Row for Item {
    type Key = u64;

    fn key(&self) -> u64 {
        self.id
    }
}

/// What happens to the list before a request is answered; positions are taken modulo the list's length.
#[derive(Debug, Clone, Copy)]
enum Churn {
    Nothing,
    Insert(usize, i64),
    Delete(usize),
}

/// How the model lies about totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Total {
    True,
    Absent,
    Plus(u64),
    Minus(u64),
}

struct Model {
    list: Vec<Item>,
    next_id: u64,
    deleted: BTreeSet<u64>,
    churn: Vec<Vec<Churn>>,
    requests: usize,
}

#[derive(Debug, Clone, Copy)]
struct Server {
    meaning: Meaning,
    page_cap: u64,
    total: Total,
    ignores_offset: bool,
}

const HONEST: Server =
    Server { meaning: Meaning::Records, page_cap: u64::MAX, total: Total::True, ignores_offset: false };

impl Model {
    fn new(plans: &[i64], churn: Vec<Vec<Churn>>) -> RefCell<Model> {
        let list: Vec<_> = plans.iter().zip(0..).map(|(plan, id)| Item { id, plan: *plan }).collect();
        let next_id = list.len() as u64;
        RefCell::new(Model { list, next_id, deleted: BTreeSet::new(), churn, requests: 0 })
    }

    fn answer(&mut self, query: PageQuery, server: Server) -> Page<Item> {
        let churn = self.churn.get(self.requests).cloned().unwrap_or_default();
        // Nothing happens before the first request: what is in the list then is what must be found.
        for event in churn.into_iter().filter(|_| self.requests > 0) {
            match event {
                Churn::Insert(at, plan) => {
                    let at = at % (self.list.len() + 1);
                    self.list.insert(at, Item { id: self.next_id, plan });
                    self.next_id += 1;
                }
                Churn::Delete(at) if !self.list.is_empty() => {
                    let gone = self.list.remove(at % self.list.len());
                    self.deleted.insert(gone.id);
                }
                Churn::Delete(_) | Churn::Nothing => {}
            }
        }
        self.requests += 1;
        let (from, to) = (query.window.from.as_millisecond(), query.window.to.as_millisecond());
        let matching: Vec<_> = self.list.iter().filter(|item| (from..=to).contains(&item.plan)).copied().collect();
        let limit = query.limit.min(server.page_cap);
        let start = match server.meaning {
            _ if server.ignores_offset => 0,
            Meaning::Records => query.offset,
            Meaning::Pages => query.offset * limit,
        };
        let rows = matching.iter().skip(start as usize).take(limit as usize).copied().collect();
        let count = matching.len() as u64;
        let total = match server.total {
            Total::True => Some(count),
            Total::Absent => None,
            Total::Plus(more) => Some(count + more),
            Total::Minus(less) => Some(count.saturating_sub(less)),
        };
        Page { total, rows }
    }
}

const SPAN: i64 = 24 * 3600 * 1000;

fn day() -> Window {
    span(1_700_000_000_000, 1_700_000_000_000 + SPAN).unwrap()
}

fn plan(at: i64) -> i64 {
    day().from.as_millisecond() + at.rem_euclid(SPAN)
}

fn read(model: &RefCell<Model>, server: Server, limit: u64, meaning: &mut Option<Meaning>) -> (Whole<Item>, u64) {
    let fetch = async |query| Ok::<_, Infallible>(model.borrow_mut().answer(query, server));
    let mut reader = Reader::new(fetch, *meaning, limit);
    let missing = reader.read_part(day()).now_or_never().unwrap().unwrap();
    *meaning = reader.meaning;
    (Whole { rows: reader.rows, shortfall: None, requests: reader.requests }, missing)
}

/// Every row that was there at the beginning and was not removed, each once, and no shortfall.
fn assert_whole(initial: usize, model: &RefCell<Model>, (whole, missing): &(Whole<Item>, u64)) {
    let ids: Vec<_> = whole.rows.iter().map(|item| item.id).collect();
    let distinct: BTreeSet<_> = ids.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len(), "a row came twice");
    let model = model.borrow();
    let lost: Vec<_> = (0..initial as u64).filter(|id| !distinct.contains(id) && !model.deleted.contains(id)).collect();
    assert!(lost.is_empty(), "lost {lost:?} of {initial} after {} requests", whole.requests);
    assert_eq!(*missing, 0, "a shortfall was reported for a whole list");
}

fn meanings() -> impl Strategy<Value = Meaning> {
    prop_oneof![Just(Meaning::Records), Just(Meaning::Pages)]
}

fn learnt() -> impl Strategy<Value = Option<Meaning>> {
    prop_oneof![Just(None), Just(Some(Meaning::Records)), Just(Some(Meaning::Pages))]
}

fn inserts() -> impl Strategy<Value = Vec<Vec<Churn>>> {
    let event = prop_oneof![
        1 => Just(Churn::Nothing),
        2 => (any::<usize>(), 0..SPAN).prop_map(|(at, time)| Churn::Insert(at, plan(time))),
        // New instances mostly come at one end.
        2 => (0..2usize, 0..SPAN).prop_map(|(at, time)| Churn::Insert(at, plan(time))),
    ];
    prop::collection::vec(prop::collection::vec(event, 0..4), 0..40)
}

fn deletes() -> impl Strategy<Value = Vec<Vec<Churn>>> {
    let event = prop_oneof![
        2 => Just(Churn::Nothing),
        1 => any::<usize>().prop_map(Churn::Delete),
        1 => (0..2usize).prop_map(Churn::Delete),
    ];
    prop::collection::vec(prop::collection::vec(event, 0..3), 0..40)
}

fn plans(max: usize) -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec((0..SPAN).prop_map(plan), 0..max)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_list_at_rest_is_read_whole_under_both_meanings(
        plans in plans(120), meaning in meanings(), learnt in learnt(), limit in 1..12u64,
    ) {
        let model = Model::new(&plans, Vec::new());
        let mut learnt = learnt;
        let read = read(&model, Server { meaning, ..HONEST }, limit, &mut learnt);
        assert_whole(plans.len(), &model, &read);
    }

    #[test]
    fn rows_that_come_meanwhile_hide_none(
        plans in plans(120), meaning in meanings(), learnt in learnt(), limit in 8..16u64, churn in inserts(),
    ) {
        let model = Model::new(&plans, churn);
        let mut learnt = learnt;
        let read = read(&model, Server { meaning, ..HONEST }, limit, &mut learnt);
        assert_whole(plans.len(), &model, &read);
    }

    #[test]
    fn rows_that_go_meanwhile_hide_none(
        plans in plans(120), meaning in meanings(), learnt in learnt(), limit in 8..16u64, churn in deletes(),
    ) {
        let model = Model::new(&plans, churn);
        let mut learnt = learnt;
        let read = read(&model, Server { meaning, ..HONEST }, limit, &mut learnt);
        assert_whole(plans.len(), &model, &read);
    }

    #[test]
    fn no_server_makes_it_endless_or_silent(
        plans in plans(80), meaning in meanings(), learnt in learnt(), limit in 1..8u64, page_cap in 1..8u64,
        total in prop_oneof![Just(Total::Absent), (1..50u64).prop_map(Total::Plus), (1..50u64).prop_map(Total::Minus)],
        ignores_offset in any::<bool>(), churn in inserts(),
    ) {
        let model = Model::new(&plans, churn);
        let mut learnt = learnt;
        let server = Server { meaning, page_cap, total, ignores_offset };
        let (whole, _) = read(&model, server, limit, &mut learnt);
        // The step that is under way when the allowance is spent is ended.
        prop_assert!(whole.requests <= SOURCE_LISTING_REQUESTS_MAX + 2);
    }
}

/// A list at rest of `count` rows planned `step` milliseconds apart, read by `server`.
fn at_rest(count: i64, step: i64, server: Server, limit: u64) -> (Whole<Item>, u64) {
    let plans: Vec<_> = (0..count).map(|n| plan(n * step)).collect();
    read(&Model::new(&plans, Vec::new()), server, limit, &mut None)
}

#[test]
fn what_fits_in_one_page_costs_one_request() {
    for (count, meaning) in
        [(0, Meaning::Records), (1, Meaning::Pages), (999, Meaning::Records), (1000, Meaning::Pages)]
    {
        let (whole, missing) = at_rest(count, 1, Server { meaning, ..HONEST }, 1000);
        assert_eq!((whole.rows.len() as i64, missing, whole.requests), (count, 0, 1), "{count} {meaning:?}");
    }
}

#[test]
fn ten_thousand_rows_cost_few_requests_and_fewer_once_the_meaning_is_learnt() {
    for (meaning, first, later) in [(Meaning::Records, 12, 11), (Meaning::Pages, 11, 11)] {
        let plans: Vec<_> = (0..10_000).map(plan).collect();
        let model = Model::new(&plans, Vec::new());
        let mut learnt = None;
        for requests in [first, later] {
            let (whole, missing) = read(&model, Server { meaning, ..HONEST }, 1000, &mut learnt);
            assert_eq!((whole.rows.len(), missing, whole.requests), (10_000, 0, requests), "{meaning:?}");
            assert_eq!(learnt, Some(meaning));
        }
    }
}

#[test]
fn many_rows_of_one_and_the_same_plan_time_are_read_whole() {
    for meaning in [Meaning::Records, Meaning::Pages] {
        let (whole, missing) = at_rest(3000, 0, Server { meaning, ..HONEST }, 1000);
        assert_eq!((whole.rows.len(), missing), (3000, 0), "{meaning:?}");
    }
}

#[test]
fn a_server_that_ignores_offsets_is_read_by_halving_the_window() {
    let (whole, missing) = at_rest(3000, 1000, Server { ignores_offset: true, ..HONEST }, 1000);
    assert_eq!((whole.rows.len(), missing), (3000, 0));
    assert!(whole.requests < 60, "{} requests", whole.requests);
}

#[test]
fn what_cannot_be_reached_is_reported() {
    let (whole, missing) = at_rest(3000, 0, Server { ignores_offset: true, ..HONEST }, 1000);
    assert_eq!((whole.rows.len(), missing), (1000, 2000));
    assert!(whole.requests < 300, "{} requests", whole.requests);
    let silent = Server { ignores_offset: true, total: Total::Absent, ..HONEST };
    let (whole, missing) = at_rest(3000, 0, silent, 1000);
    assert_eq!((whole.rows.len(), missing), (1000, 1), "at least one more");
}

#[test]
fn a_meaning_that_was_learnt_wrongly_loses_no_row_while_rows_come() {
    // Where offsets count records and were taken for pages, rows that came at the head made up for the missing ones in
    // every count.
    let head = |rows: usize| vec![Churn::Insert(0, plan(0)); rows];
    for limit in 4..12 {
        for count in limit as i64..40 {
            for rows in 0..3 {
                let plans: Vec<_> = (0..count).map(plan).collect();
                let model = Model::new(&plans, vec![head(rows); 20]);
                let read = read(&model, HONEST, limit, &mut Some(Meaning::Pages));
                assert_whole(plans.len(), &model, &read);
            }
        }
    }
}

#[test]
fn a_total_that_is_too_large_is_reported_and_costs_little() {
    let (whole, missing) = at_rest(30, 1000, Server { total: Total::Plus(2), ..HONEST }, 1000);
    assert_eq!((whole.rows.len(), missing), (30, 2));
    assert!(whole.requests < 40, "{} requests", whole.requests);
}

#[test]
fn a_total_that_is_too_small_or_absent_hides_nothing() {
    for total in [Total::Minus(700), Total::Absent] {
        for meaning in [Meaning::Records, Meaning::Pages] {
            let (whole, missing) = at_rest(2500, 1000, Server { meaning, total, ..HONEST }, 1000);
            assert_eq!((whole.rows.len(), missing), (2500, 0), "{total:?} {meaning:?}");
        }
    }
}

#[test]
fn a_server_with_smaller_pages_than_asked_for_is_read_whole() {
    for meaning in [Meaning::Records, Meaning::Pages] {
        let (whole, missing) = at_rest(950, 1000, Server { meaning, page_cap: 100, ..HONEST }, 1000);
        assert_eq!((whole.rows.len(), missing), (950, 0), "{meaning:?}");
    }
}

#[test]
fn long_windows_are_asked_for_in_parts_that_do_not_touch() {
    let week = 7 * SPAN;
    let from = day().from.as_millisecond();
    let parts = parts(span(from, from + 2 * week).unwrap(), DATAARTS_SPAN_MAX);
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[0].from.as_millisecond(), from);
    assert_eq!(parts[2].to.as_millisecond(), from + 2 * week);
    for pair in parts.windows(2) {
        assert_eq!(pair[0].to.as_millisecond() + 1, pair[1].from.as_millisecond());
    }
    for part in parts {
        // With the millisecond that the query adds at both ends.
        assert!(part.to.as_millisecond() - part.from.as_millisecond() + 2 <= week);
    }
}

#[test]
fn a_page_by_page_number_overlaps_what_is_known_and_reaches_beyond_it() {
    for limit in 3..40 {
        for end in limit..400 {
            let place = Meaning::Pages.next_place(end, 1, limit);
            assert_eq!(place.start, place.offset * place.limit);
            assert!(place.limit <= limit && place.start + place.limit > end, "{end} {limit} {place:?}");
            let can_overlap = (1..=limit).any(|size| end % size != 0);
            assert_eq!(place.start < end, can_overlap, "{end} {limit} {place:?}");
        }
    }
}
