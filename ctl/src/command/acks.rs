//! Waits for data planes: acked, rejected, or out of time.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    client::Client,
    exit::{Exit, Failure, Finding},
    output::{DataplaneDocument, Printer, RevisionPlace},
};

/// Waits shorter than this are not worth a word.
const SILENT: Duration = Duration::from_secs(2);
/// Between attempts to reach a control plane that went away while we waited.
const RECONNECT: Duration = Duration::from_millis(500);

/// What is waited for.
#[derive(Clone, Debug)]
pub(super) struct Goal {
    /// The revision that must be in service.
    pub(super) revision: RevisionPlace,
    /// The clusters whose rejection matters; all when absent.
    pub(super) clusters: Option<BTreeSet<String>>,
    /// How many connected data planes there must be at least.
    pub(super) dataplanes: usize,
}

/// How the data planes stand to a goal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// All connected ones have it; so many do, and so many are not connected.
    Done { synced: usize, disconnected: usize },
    /// Rejections that will not go away by waiting.
    Nacked(Vec<Finding>),
    /// Who is not there yet, and how each stands.
    Waiting(Vec<String>),
}

/// Judges a list of data planes that was made when the fleet's head was `head`.
pub(super) fn judge(goal: &Goal, head: RevisionPlace, dataplanes: &[DataplaneDocument]) -> Verdict {
    let connected: Vec<&DataplaneDocument> =
        dataplanes.iter().filter(|d| d.is_connected()).collect();
    let mut findings = Vec::new();
    let mut waiting = Vec::new();
    for dataplane in &connected {
        findings.extend(rejections(goal, dataplane));
        let acked = dataplane.acked >= goal.revision && dataplane.state != "foreign_fleet";
        let calm = dataplane.state == "synced" && head >= goal.revision;
        let done = match goal.clusters {
            Some(_) => acked || calm,
            None => calm,
        };
        if !done {
            waiting.push(format!("{} is {}", dataplane.id, dataplane.state));
        }
    }
    if !findings.is_empty() {
        return Verdict::Nacked(findings);
    }
    if connected.len() < goal.dataplanes {
        waiting.push(format!(
            "{} of {} data planes are connected",
            connected.len(),
            goal.dataplanes
        ));
    }
    if !waiting.is_empty() {
        return Verdict::Waiting(waiting);
    }
    Verdict::Done {
        synced: connected.len(),
        disconnected: dataplanes.len() - connected.len(),
    }
}

/// Rejections that answer the goal's revision: an older one may be about what the goal repairs.
fn rejections(goal: &Goal, dataplane: &DataplaneDocument) -> Vec<Finding> {
    let mut findings = Vec::new();
    for nack in &dataplane.nacks {
        let concerns = goal
            .clusters
            .as_ref()
            .is_none_or(|names| names.contains(&nack.name));
        let answers = dataplane.acked >= goal.revision || nack.revision >= goal.revision.revision;
        if !concerns || !answers {
            continue;
        }
        for violation in &nack.violations {
            findings.push(Finding {
                field: path(&nack.name, &violation.field),
                description: format!("{} rejects it: {}", dataplane.id, violation.description),
                ..Finding::default()
            });
        }
        if nack.violations.is_empty() {
            findings.push(Finding {
                field: path(&nack.name, ""),
                description: format!("{} rejects it", dataplane.id),
                ..Finding::default()
            });
        }
    }
    findings
}

/// The path of a field of a cluster that is known by name.
fn path(cluster: &str, field: &str) -> String {
    match field.is_empty() {
        true => format!("clusters[{cluster}]"),
        false => format!("clusters[{cluster}].{field}"),
    }
}

/// Waits until the goal is reached.
///
/// # Errors
/// Rejections, with the fields they name; time running out, with who is missing.
pub(super) async fn wait(
    client: &Client,
    printer: &Printer,
    goal: &Goal,
    limit: Duration,
) -> Result<Exit, Failure> {
    let started = Instant::now();
    let mut waiting = Vec::new();
    let reached = timeout_at(started + limit, reach(client, printer, goal, &mut waiting)).await;
    let Ok(reached) = reached else {
        let missing = match waiting.is_empty() {
            true => "the control plane said nothing".to_owned(),
            false => waiting.join(", "),
        };
        let text = format!(
            "revision {} is not in service everywhere after {limit:?}: {missing}",
            goal.revision
        );
        return Err(Failure::new(Exit::Timeout, text).hint("`prismctl status` says what is wrong"));
    };
    let (synced, disconnected) = reached?;
    let away = match disconnected {
        0 => String::new(),
        away => format!("; {away} not connected"),
    };
    let text = match synced {
        0 => format!("no data plane is connected{away}"),
        1 => format!("in service on 1 data plane{away}"),
        several => format!("in service on {several} data planes{away}"),
    };
    printer.note("info", &text);
    Ok(Exit::Ok)
}

/// Follows the data planes until the verdict is final; `waiting` tells who was missing last.
async fn reach(
    client: &Client,
    printer: &Printer,
    goal: &Goal,
    waiting: &mut Vec<String>,
) -> Result<(usize, usize), Failure> {
    let started = Instant::now();
    loop {
        let mut answers = client.watch_dataplanes().await?;
        while let Ok(Some(answer)) = answers.next().await {
            let dataplanes: Vec<DataplaneDocument> = answer
                .dataplanes
                .iter()
                .map(DataplaneDocument::from)
                .collect();
            match judge(
                goal,
                RevisionPlace::of(answer.revision.as_ref()),
                &dataplanes,
            ) {
                Verdict::Done {
                    synced,
                    disconnected,
                } => return Ok((synced, disconnected)),
                Verdict::Nacked(findings) => {
                    let mut failure =
                        Failure::new(Exit::Nacked, "a data plane rejected the definitions");
                    failure.findings = findings;
                    return Err(failure);
                }
                Verdict::Waiting(missing) => {
                    if *waiting != missing && started.elapsed() > SILENT {
                        printer.note("info", &format!("waiting: {}", missing.join(", ")));
                    }
                    *waiting = missing;
                }
            }
        }
        sleep(RECONNECT).await;
    }
}

#[cfg(test)]
mod tests {
    use prism_proto::pb::admin::v1::{
        Dataplane, FieldViolation, FleetRevision, ResourceNack, SyncState,
    };

    use super::*;

    const HEAD: RevisionPlace = RevisionPlace {
        epoch: 1,
        revision: 7,
    };

    fn goal(clusters: Option<&[&str]>) -> Goal {
        Goal {
            revision: HEAD,
            clusters: clusters.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            dataplanes: 0,
        }
    }

    fn dataplane(id: &str, state: SyncState, acked: u64) -> Dataplane {
        Dataplane {
            id: id.into(),
            state: state.into(),
            acked: Some(FleetRevision {
                epoch: 1,
                revision: acked,
            }),
            ..Dataplane::default()
        }
    }

    fn nacked(acked: u64, revision: u64) -> Dataplane {
        let mut dataplane = dataplane("dp-1", SyncState::Nacked, acked);
        dataplane.nacks.push(ResourceNack {
            kind: "clusters".into(),
            name: "pages".into(),
            revision,
            violations: vec![FieldViolation {
                field: "listen_addr".into(),
                description: "address in use".into(),
            }],
            time: None,
        });
        dataplane
    }

    fn verdict(goal: &Goal, dataplanes: &[Dataplane]) -> Verdict {
        let documents: Vec<DataplaneDocument> =
            dataplanes.iter().map(DataplaneDocument::from).collect();
        judge(goal, HEAD, &documents)
    }

    #[test]
    fn acked_data_planes_are_done_and_disconnected_ones_counted() {
        let fleet = [
            dataplane("dp-1", SyncState::Synced, 7),
            dataplane("dp-2", SyncState::Pending, 7),
            dataplane("dp-3", SyncState::Disconnected, 2),
        ];
        let done = Verdict::Done {
            synced: 2,
            disconnected: 1,
        };
        assert_eq!(verdict(&goal(Some(&["pages"])), &fleet), done);
    }

    #[test]
    fn data_plane_that_is_not_selected_is_done_while_in_sync() {
        let fleet = [dataplane("dp-1", SyncState::Synced, 3)];
        let done = Verdict::Done {
            synced: 1,
            disconnected: 0,
        };
        assert_eq!(verdict(&goal(Some(&["pages"])), &fleet), done);
    }

    #[test]
    fn pending_data_plane_is_waited_for_by_name() {
        let fleet = [dataplane("dp-1", SyncState::Pending, 6)];
        let waiting = Verdict::Waiting(vec!["dp-1 is pending".into()]);
        assert_eq!(verdict(&goal(Some(&["pages"])), &fleet), waiting);
    }

    #[test]
    fn rejection_of_the_revision_is_final() {
        let Verdict::Nacked(findings) = verdict(&goal(Some(&["pages"])), &[nacked(7, 5)]) else {
            unreachable!("a nack is final");
        };
        assert_eq!(
            findings[0].to_string(),
            "clusters[pages].listen_addr: dp-1 rejects it: address in use"
        );
    }

    #[test]
    fn older_rejection_is_not_about_the_new_revision() {
        let waiting = Verdict::Waiting(vec!["dp-1 is nacked".into()]);
        assert_eq!(verdict(&goal(Some(&["pages"])), &[nacked(6, 5)]), waiting);
    }

    #[test]
    fn rejection_of_another_cluster_does_not_fail_an_apply_but_fails_a_wait() {
        let done = Verdict::Done {
            synced: 1,
            disconnected: 0,
        };
        assert_eq!(verdict(&goal(Some(&["sessions"])), &[nacked(7, 5)]), done);
        assert!(matches!(
            verdict(&goal(None), &[nacked(7, 5)]),
            Verdict::Nacked(_)
        ));
    }

    #[test]
    fn missing_data_planes_are_waited_for_when_demanded() {
        let mut goal = goal(None);
        goal.dataplanes = 2;
        let fleet = [dataplane("dp-1", SyncState::Synced, 7)];
        let waiting = Verdict::Waiting(vec!["1 of 2 data planes are connected".into()]);
        assert_eq!(verdict(&goal, &fleet), waiting);
    }
}
