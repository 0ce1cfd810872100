//! The workspace: settings, and the operations of the library's handle.

use std::path::PathBuf;

use pyo3::prelude::*;
use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    errors::{Fault, Raised, Told, caught},
    table::Table,
    threads::on_threads,
    watched::{Listener, watched},
};
use datac::{
    BuildOptions, Failure, FailureKind, Settings,
    cli::exit,
    outputs::OutputKind,
    system,
    workspace::{
        self, Blame, BuildReport, CacheBounds, Configuration, DroppedRow, EffectiveSetting, Explanation, Given,
        Identified, Journey, Origin, PullOptions, Pulled, PulledOutputs, PushOptions, Pushed, PushedOutputs,
        RecipeReport, RecipeStatus, ReleaseList, Released, RowsDiff, SettingKey, SettingValue, Slice, Stats,
        WorkOptions, WorkReport, discover,
    },
};

/// A folder with recipes. `datac.Workspace` is the class for people.
#[pyclass(frozen)]
pub(crate) struct Workspace {
    settings: Settings,
    configuration: Configuration,
}

/// Returns the schemas of the documents that the methods return, by name.
pub(crate) fn schemas() -> Value {
    fn of<T: JsonSchema>() -> Value {
        schema_for!(T).to_value()
    }
    json!({
        "Problem": of::<Told>(),
        "Failure": of::<Raised>(),
        "RecipeStatus": of::<RecipeStatus>(),
        "BuildReport": of::<BuildReport>(),
        "Explanation": of::<Explanation>(),
        "Origin": of::<Origin>(),
        "Journey": of::<Journey>(),
        "Identified": of::<Identified>(),
        "DroppedRow": of::<DroppedRow>(),
        "Blame": of::<Blame>(),
        "EffectiveSetting": of::<EffectiveSetting>(),
        "Stats": of::<Stats>(),
        "RowsDiff": of::<RowsDiff>(),
        "Released": of::<Released>(),
        "ReleaseList": of::<ReleaseList>(),
        "Pulled": of::<Pulled>(),
        "PulledOutputs": of::<PulledOutputs>(),
        "Pushed": of::<Pushed>(),
        "PushedOutputs": of::<PushedOutputs>(),
        "WorkReport": of::<WorkReport>(),
    })
}

impl Workspace {
    /// Does something with the library's handle, without the interpreter's lock.
    fn run<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&workspace::Workspace) -> Result<T, Fault> + Send,
    ) -> PyResult<T> {
        let done = py.detach(|| {
            let opened = workspace::Workspace::open(self.settings.clone());
            caught(|| on_threads(|| work(&opened)))
        });
        done.map_err(|fault| fault.exception(py, &self.settings))
    }

    fn document<T: Serialize + Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&workspace::Workspace) -> Result<T, Fault> + Send,
    ) -> PyResult<String> {
        Ok(text(&self.run(py, work)?))
    }

    fn status_document(&self, status: &RecipeStatus) -> Map<String, Value> {
        let Ok(Value::Object(mut document)) = serde_json::to_value(status) else {
            unreachable!("a status is an object")
        };
        let problems: Vec<Told> = status.problems.iter().map(Told::from).collect();
        let failure = status.failure.as_ref().map(|failure| Raised::of_failure(failure, &self.settings));
        document.insert("problems".to_owned(), json!(problems));
        document.insert("failure".to_owned(), json!(failure));
        document
    }

    fn report_document(&self, report: &BuildReport) -> Value {
        let recipe = |recipe: &RecipeReport| {
            let Ok(Value::Object(mut document)) = serde_json::to_value(recipe) else {
                unreachable!("a report is an object")
            };
            document.extend(self.status_document(&recipe.before));
            let failure = recipe.failure.as_ref().map(|failure| Raised::of_failure(failure, &self.settings));
            document.insert("failure".to_owned(), json!(failure));
            document
        };
        let mut document = json!(report);
        document["recipes"] = json!(report.recipes.iter().map(recipe).collect::<Vec<_>>());
        let invalid: Vec<_> = report.recipes.iter().flat_map(|recipe| recipe.before.problems.clone()).collect();
        let worst = report.failure().map(|kind| {
            let failures = report.recipes.iter().filter_map(|recipe| recipe.failure.as_ref());
            match failures.into_iter().find(|failure| failure.kind == kind) {
                Some(failure) => Raised::of_failure(failure, &self.settings),
                None => Raised::of_problems(&invalid),
            }
        });
        document["error"] = json!(worst);
        document
    }

    fn work_document(&self, report: &WorkReport) -> Value {
        let failures: Vec<Raised> =
            report.failures.iter().map(|failure| Raised::of_failure(failure, &self.settings)).collect();
        let worst = report.failure().map(|kind| match report.failures.iter().find(|failure| failure.kind == kind) {
            Some(failure) => Raised::of_failure(failure, &self.settings),
            None => Raised::of_problems(&report.problems),
        });
        let mut document = json!(report);
        document["failures"] = json!(failures);
        document["problems"] = json!(report.problems.iter().map(Told::from).collect::<Vec<_>>());
        document["error"] = json!(worst);
        document
    }

    fn no_recipes(&self, selectors: &[String]) -> Raised {
        let root = self.settings.root.display();
        let message = match selectors {
            [] => format!("no recipes below `config/` of `{root}`"),
            named => format!("no recipes match `{}` below `config/` of `{root}`", named.join("`, `")),
        };
        let hint = Some("a recipe is a YAML file with `metadata` and `datasets`; `datac init` creates some".to_owned());
        Raised { exit: exit::USAGE, code: None, message, hint, note: None, problems: Vec::new() }
    }
}

fn text(document: &impl Serialize) -> String {
    serde_json::to_string(document).expect("documents are plain data")
}

#[pymethods]
impl Workspace {
    #[new]
    #[pyo3(signature = (path, *, hub=None, offline=None, cache=None, output=None, remote=None, python=None))]
    #[expect(clippy::too_many_arguments, reason = "they are the settings of the command")]
    fn new(
        py: Python<'_>,
        path: Option<PathBuf>,
        hub: Option<String>,
        offline: Option<bool>,
        cache: Option<PathBuf>,
        output: Option<PathBuf>,
        remote: Option<String>,
        python: Option<PathBuf>,
    ) -> PyResult<Self> {
        let raised = |fault: Fault| fault.exception(py, &Settings::new("."));
        let here = system::current_dir().map_err(|error| raised(error.into()))?;
        let root = match path {
            Some(path) => here.join(path),
            None => discover(&here, &[]).map_err(|failure| raised(failure.into()))?.root,
        };
        if !system::is_dir(&root) {
            let message = format!("the workspace folder `{}` does not exist", root.display());
            return Err(raised(Failure::plain(FailureKind::Config, message).into()));
        }
        let folder = |path: PathBuf| SettingValue::Text(path.to_string_lossy().into_owned());
        // Like a hub, a shared cache that was typed is meant from here.
        let typed = |remote: String| match remote.contains("://") {
            true => SettingValue::Text(remote),
            false => folder(here.join(remote)),
        };
        let given = [
            (SettingKey::CacheRemote, remote.map(typed)),
            (SettingKey::Hub, hub.map(SettingValue::Text)),
            (SettingKey::Offline, offline.map(SettingValue::Switch)),
            (SettingKey::CacheDir, cache.map(folder)),
            (SettingKey::OutputsDir, output.map(folder)),
        ];
        let values = given.into_iter().filter_map(|(setting, value)| Some((setting, value?))).collect();
        // A process may change its current folder; a hub that was typed is meant from here.
        let given = Given { values, from: None, hub_from: Some(here) };
        let configuration = Configuration::read(&root, given).map_err(|error| raised(error.into()))?;
        let settings = Settings { python, ..configuration.settings(root) };
        Ok(Self { settings, configuration })
    }

    /// Returns the settings that hold, each with what decided it: a list.
    fn effective(&self) -> String {
        text(&self.configuration.effective())
    }

    #[getter]
    fn root(&self) -> PathBuf {
        self.settings.root.clone()
    }

    #[getter]
    fn output_dir(&self) -> PathBuf {
        workspace::Workspace::open(self.settings.clone()).outputs().dir().to_owned()
    }

    /// Returns the states of recipes: a list.
    fn status(&self, py: Python<'_>, selectors: Vec<String>) -> PyResult<String> {
        let assessment = self.run(py, |workspace| Ok(workspace.status(&selectors)?))?;
        let documents: Vec<_> = assessment.recipes.iter().map(|status| self.status_document(status)).collect();
        Ok(text(&documents))
    }

    /// Returns the path and the name of the recipes that selectors match: a list of pairs.
    fn find(&self, py: Python<'_>, selectors: Vec<String>) -> PyResult<Vec<(String, String)>> {
        let found = self.run(py, |workspace| Ok(workspace.recipes().find(&selectors)?))?;
        Ok(found.recipes.into_iter().map(|recipe| (recipe.path, recipe.name)).collect())
    }

    /// Returns the problems of recipes: a list.
    fn validate(&self, py: Python<'_>, selectors: Vec<String>) -> PyResult<String> {
        let checked = self.run(py, |workspace| Ok(workspace.recipes().validate(&selectors, None)?))?;
        if checked.recipes.is_empty() {
            return Err(self.no_recipes(&selectors).exception(py));
        }
        Ok(text(&checked.problems().map(Told::from).collect::<Vec<_>>()))
    }

    /// Builds recipes. The report has the worst failure as `error`.
    #[pyo3(signature = (selectors, *, locked, force, jobs, wait, fail_fast, on_event, on_progress))]
    #[expect(clippy::too_many_arguments, reason = "they are the options of the command")]
    fn build(
        &self,
        py: Python<'_>,
        selectors: Vec<String>,
        locked: Option<bool>,
        force: bool,
        jobs: usize,
        wait: bool,
        fail_fast: bool,
        on_event: Option<Bound<'_, PyAny>>,
        on_progress: Option<(Bound<'_, PyAny>, usize)>,
    ) -> PyResult<String> {
        let command = [vec!["python: build".to_owned()], selectors.clone()].concat();
        let no_wait = !wait;
        let configured = &self.configuration;
        let default = CacheBounds::default();
        let bounds = configured.cleans_cache().then(|| CacheBounds {
            max_bytes: configured.cache_max_bytes().unwrap_or(default.max_bytes),
            max_age: configured.cache_max_age().unwrap_or(default.max_age),
        });
        let jobs = if jobs == 0 { configured.jobs().unwrap_or(0) } else { jobs };
        let locked = locked.unwrap_or(configured.locked());
        let options =
            BuildOptions { jobs, locked, force, no_wait, fail_fast, command, bounds, ..BuildOptions::default() };
        let (asked, on_progress) = (selectors.clone(), on_progress.as_ref().map(|(call, width)| (call, *width)));
        let listener = Listener { verb: "Building", on_event: on_event.as_ref(), on_progress };
        let report = watched(py, &self.settings, &listener, move |workspace| Ok(workspace.build(&asked, &options)?))?;
        if report.recipes.is_empty() {
            return Err(self.no_recipes(&selectors).exception(py));
        }
        Ok(text(&self.report_document(&report)))
    }

    /// Does one worker's part of a build, and says what it did.
    #[pyo3(signature = (slice, selectors, *, jobs, wait, dry_run, on_event, on_progress))]
    #[expect(clippy::too_many_arguments, reason = "they are the options of the command")]
    fn worker(
        &self,
        py: Python<'_>,
        slice: &str,
        selectors: Vec<String>,
        jobs: usize,
        wait: bool,
        dry_run: bool,
        on_event: Option<Bound<'_, PyAny>>,
        on_progress: Option<(Bound<'_, PyAny>, usize)>,
    ) -> PyResult<String> {
        let slice: Slice = slice.parse().map_err(|why| {
            let message = format!("invalid slice `{slice}`: {why}");
            Fault::from(Failure::plain(FailureKind::Config, message)).exception(py, &self.settings)
        })?;
        let jobs = if jobs == 0 { self.configuration.jobs().unwrap_or(0) } else { jobs };
        let options = WorkOptions { slice, jobs, no_wait: !wait, dry_run };
        let (asked, on_progress) = (selectors.clone(), on_progress.as_ref().map(|(call, width)| (call, *width)));
        let listener = Listener { verb: "Working", on_event: on_event.as_ref(), on_progress };
        let report = watched(py, &self.settings, &listener, move |workspace| Ok(workspace.work(&asked, &options)?))?;
        if report.recipes == 0 {
            return Err(self.no_recipes(&selectors).exception(py));
        }
        Ok(text(&self.work_document(&report)))
    }

    /// Puts outputs under a name in the shared cache.
    fn release(
        &self,
        py: Python<'_>,
        name: String,
        selectors: Vec<String>,
        on_progress: Option<(Bound<'_, PyAny>, usize)>,
    ) -> PyResult<String> {
        let on_progress = on_progress.as_ref().map(|(call, width)| (call, *width));
        let listener = Listener { verb: "Releasing", on_event: None, on_progress };
        let work = move |workspace: &workspace::Workspace| Ok(workspace.release(&name, &selectors)?);
        Ok(text(&watched(py, &self.settings, &listener, work)?))
    }

    /// Lists the releases in the shared cache.
    fn releases(&self, py: Python<'_>, name: Option<&str>) -> PyResult<String> {
        self.document(py, |workspace| Ok(workspace.releases(name)?))
    }

    /// Puts the files of a release in place.
    #[pyo3(signature = (name, *, to, force, dry_run, on_progress))]
    fn pull(
        &self,
        py: Python<'_>,
        name: String,
        to: Option<PathBuf>,
        force: bool,
        dry_run: bool,
        on_progress: Option<(Bound<'_, PyAny>, usize)>,
    ) -> PyResult<String> {
        let on_progress = on_progress.as_ref().map(|(call, width)| (call, *width));
        let listener = Listener { verb: "Pulling", on_event: None, on_progress };
        let options = PullOptions { to, force, dry_run };
        let work = move |workspace: &workspace::Workspace| Ok(workspace.pull(&name, &options)?);
        Ok(text(&watched(py, &self.settings, &listener, work)?))
    }

    /// Writes outputs to a folder, a bucket, or a dataset repository of the hub.
    #[pyo3(signature = (to, selectors, *, target, revision, message, dry_run, on_progress))]
    #[expect(clippy::too_many_arguments, reason = "they are the options of the command")]
    fn push(
        &self,
        py: Python<'_>,
        to: String,
        selectors: Vec<String>,
        target: Option<String>,
        revision: Option<String>,
        message: Option<String>,
        dry_run: bool,
        on_progress: Option<(Bound<'_, PyAny>, usize)>,
    ) -> PyResult<String> {
        let on_progress = on_progress.as_ref().map(|(call, width)| (call, *width));
        let listener = Listener { verb: "Pushing", on_event: None, on_progress };
        let options = PushOptions { revision, message, target, dry_run };
        let work = move |workspace: &workspace::Workspace| Ok(workspace.push(&to, &selectors, &options)?);
        Ok(text(&watched(py, &self.settings, &listener, work)?))
    }

    /// Explains the state of a recipe.
    fn why(&self, py: Python<'_>, target: &str) -> PyResult<String> {
        self.document(py, |workspace| Ok(workspace.why(target)?))
    }

    /// Returns the origin of a line of an output, from 1.
    fn origin(&self, py: Python<'_>, output: &str, line: u64) -> PyResult<String> {
        self.document(py, |workspace| Ok(workspace.outputs().trace(output, line)?))
    }

    /// Returns what became of a source row, from 0.
    fn trace(&self, py: Python<'_>, source: &str, file: &str, row: u64) -> PyResult<String> {
        self.document(py, |workspace| Ok(workspace.outputs().trace_source(source, file, row)?))
    }

    /// Returns what became of the source rows of the row with this `id`.
    fn trace_id(&self, py: Python<'_>, id: &str) -> PyResult<String> {
        self.document(py, |workspace| Ok(workspace.outputs().trace_id(id)?))
    }

    /// Returns the rows of a step of logs of training.
    fn blame(&self, py: Python<'_>, logs: Vec<PathBuf>, step: u64) -> PyResult<String> {
        self.document(py, |workspace| Ok(workspace.outputs().blame(&logs, step)?))
    }

    /// Returns how many rows a filter drops, and the first of them as documents.
    fn dropped(&self, py: Python<'_>, target: &str, filter: &str, limit: u64) -> PyResult<(u64, Vec<String>)> {
        let mut rows = Vec::new();
        let counted = self.run(py, |workspace| {
            let keep = |row: DroppedRow| {
                rows.push(text(&row));
                true
            };
            Ok(workspace.outputs().dropped(target, filter, limit, keep)?)
        })?;
        Ok((counted.dropped, rows))
    }

    /// Measures the outputs of recipes.
    fn stats(&self, py: Python<'_>, selectors: Vec<String>) -> PyResult<String> {
        self.document(py, |workspace| Ok(workspace.outputs().stats(&selectors)?))
    }

    /// Compares the rows of a recipe with those of an earlier build.
    fn diff(&self, py: Python<'_>, target: &str, versus: Option<&str>, limit: usize) -> PyResult<String> {
        self.document(py, |workspace| Ok(workspace.outputs().diff(target, versus, limit)?))
    }

    /// Opens an output as a table.
    fn table(&self, py: Python<'_>, output: &str) -> PyResult<Table> {
        let table = self.run(py, |workspace| Ok(workspace.outputs().table(output)?))?;
        Ok(Table::new(table, self.settings.clone()))
    }
}

/// Returns what the file with this name in the output folder holds: the shape and the side, such as `("native", "train")`;
/// `None` if it holds no rows.
#[pyfunction]
pub(crate) fn kind_of(name: &str) -> Option<(String, &'static str)> {
    let shape = || name.split('/').nth(1).unwrap_or_default().to_owned();
    match OutputKind::of(name)? {
        OutputKind::Rows(side) => Some(("native".to_owned(), side.word())),
        OutputKind::Shard(side) => Some((shape(), side.word())),
        OutputKind::Quarantine => Some(("native".to_owned(), "rejects")),
        OutputKind::Beside => None,
    }
}
