"""The documents that datac returns, as classes. Written by `python/records.py` from the types of the library."""

from __future__ import annotations

from typing import Any

from ._record import OfRecipes, Record


class Blame(Record):
    """The rows that a model was trained on in a step."""

    _records = {"rows": "BlamedRow"}
    rows: list[BlamedRow]
    """The rows, in the order of the logs; one that was trained on several times stands there once."""
    step: int
    """The step."""


class BlamedRow(Record):
    """A row that a model was trained on."""

    _records = {"made_of": "MadeOf"}
    id: str
    """The `id` of the row."""
    line: int
    """Line in that log, from 1."""
    log: str
    """Path of the log that names it first."""
    made_of: list[MadeOf]
    """The source rows that it was made of, by recipe; none if no build of the history has it, several of a recipe if source
    rows have the same content."""
    times: int
    """How often it was trained on in the step."""


class BuildReport(OfRecipes):
    """Result of a build."""

    _records = {"collected": "Collected", "recipes": "RecipeReport", "shared": "SharedReport", "error": "Failure"}
    actions: dict[str, int]
    """Number of actions that ran, by stage."""
    collected: Collected | None
    """What was removed from the cache because no current recipe reaches it, if anything was."""
    elapsed_ms: int
    """Elapsed time in milliseconds."""
    others: list[str]
    """YAML files that are not recipes."""
    recipes: list[RecipeReport]
    """The recipes, by path."""
    run: int | None
    """Number of the run in the ledger; `None` if there was nothing to do."""
    shared: SharedReport | None
    """What was done with the shared cache; `None` if there is none, or if there was nothing to do."""
    error: Failure | None
    """The worst that went wrong, if anything did."""


class CacheMiss(Record):
    """Actions of one stage that the cache does not have."""

    count: int
    """Number of actions."""
    reason: str
    """Reason."""
    stage: str
    """The stage."""


class Change(Record):
    """A leaf whose value has changed."""

    name: str
    """The leaf, such as `mix_ratio of alpaca`."""
    new: str | None
    """The present value, if there is one."""
    old: str | None
    """The previous value, if there was one."""


class Collected(Record):
    """Result of a collection."""

    _records = {"blobs": "Removed", "downloads": "Removed", "temporary": "Removed"}
    after_bytes: int
    """Size of the cache after the collection, in bytes."""
    before_bytes: int
    """Size of the cache before the collection, in bytes."""
    blobs: Removed
    """Blobs that no current recipe reaches."""
    downloads: Removed
    """Downloads that datac.lock does not pin."""
    dry_run: bool
    """Whether this was a dry run, which removes nothing."""
    entries: int
    """Number of entries of the record that named removed blobs."""
    max_age_s: int
    """Time that an unused entry is kept, in seconds."""
    max_bytes: int
    """Maximum size of the cache, in bytes."""
    reached_bytes: int
    """Size of what current recipes reach, in bytes."""
    temporary: Removed
    """Files that killed processes left behind."""


class DiffRow(Record):
    """A row as written to an output."""

    line: int
    """Line in the file, from 1."""
    row: Any
    """The row."""
    source: str
    """Name of the source."""
    split: str | None
    """`train` or `val`; `None` if the row comes from a file that was compared."""


class DiffSide(Record):
    """One side of the comparison."""

    built: str | None
    """Start time of the run: RFC 3339, UTC."""
    file: str | None
    """The file; `None` for a build."""
    rows: int
    """Number of rows."""
    run: int | None
    """The run that built the rows; `None` for a file."""


class DroppedRow(Record):
    """A row that a filter dropped."""

    _records = {"by": "Passed", "sample": "SampleOf", "source": "SourcePlace", "twin": "Twin"}
    by: Passed
    """The filter, what it measured, and the bound."""
    row: Any
    """The row, as it would be in the output."""
    sample: SampleOf | None
    """Which of the samples of its source row it is; `None` if the row yields only one."""
    source: SourcePlace
    """Location of the source row."""
    twin: Twin | None
    """For deduplication, the earlier row that has the same text."""


class EffectiveSetting(Record):
    """A setting that holds in a workspace."""

    origin: str | None
    """"""
    line: int | None
    """The line of the key, from 1."""
    about: str
    """What it decides."""
    key: str
    """Its key in `datac.toml`, such as `cache.max_size`."""
    option: str | None
    """The option of the command line that overrides both; none for what recipes override."""
    text: str
    """The value in words."""
    value: Any
    """Its value: text, a boolean, or a number of threads, bytes or seconds; `null` if the default is found out when it is
    needed."""
    variable: str | None
    """The environment variable that overrides `datac.toml`; none for what recipes override."""


class Entry(Record):
    """A leaf and its value."""

    name: str
    """The leaf, such as `mix_ratio of alpaca`."""
    value: str
    """The value, as text."""


class Explanation(Record):
    """Explanation of a recipe's state."""

    _records = {"misses": "CacheMiss", "past": "PastBuild", "status": "RecipeStatus", "steps": "Step", "unchanged": "Entry"}
    built_ns: int | None
    """Time of the last build, in nanoseconds since 1970."""
    default_places: list[list[Any] | None]
    """Location of each changed value in `datac.toml`, where its `[defaults]` give it."""
    misses: list[CacheMiss]
    """Why missing actions are not in the cache, by stage."""
    past: PastBuild | None
    """Explanation of the last build."""
    places: list[list[Any] | None]
    """Location of each changed value in the recipe: line and column, from 1."""
    status: RecipeStatus
    """State of the recipe."""
    steps: list[Step]
    """The stages, in order."""
    unchanged: list[Entry]
    """Values that did not change."""


class Failure(Record):
    """Why something could not be done."""

    _records = {"problems": "Problem"}
    code: str | None
    """Stable code, if it has one; `datac explain CODE` describes it."""
    exit: int
    """The exit code of the command for it."""
    hint: str | None
    """What to do about it."""
    message: str
    """The whole message."""
    note: str | None
    """What shows it best, such as the first of the rows that were rejected."""
    problems: list[Problem]
    """The places in recipes that it is about."""


class FateOf(Record):
    """What happened to a row in one recipe."""

    _records = {"by": "Passed", "twin": "Twin", "quarantine": "OutputLine", "reject": "Rejected", "lines": "OutputLine", "sample": "SampleOf", "source": "SourcePlace"}
    fate: str | None
    """"""
    gives: int | None
    """Number of rows that the source gives to the outputs."""
    kept: int | None
    """Number of samples of the source that were kept."""
    by: Passed | None
    """The filter, the score and the bound."""
    rows: int | None
    """Number of rows that `sample` takes."""
    max_samples: int | None
    """`max_samples` of the source."""
    twin: Twin | None
    """For deduplication, the earlier row with the same text."""
    quarantine: OutputLine | None
    """Its line in the quarantine file."""
    reject: Rejected | None
    """The reason."""
    lines: list[OutputLine] | None
    """The lines it is on."""
    findings: Any | None
    """What the rules found in it, and how many turns were joined; `None` for a row without a sample."""
    path: str
    """Path of the recipe."""
    recipe: str
    """Name of the recipe."""
    run: int
    """The run that built the recipe."""
    sample: SampleOf | None
    """Which of the row's samples it is; `None` if the row yields one or none."""
    shortened: str | None
    """What was left out of it so that it is not too long for the model, or which part of its text it is, in words."""
    source: SourcePlace
    """Location of the row."""


class FileAsBuilt(Record):
    """How a file on disk compares with the file that was built."""

    asked_line: int | None
    """The line that was asked for, if it differs from the line in the file as built."""
    is_older: bool
    """Whether a later build of the recipe gave other rows."""
    state: str
    """Whether the file has the bytes that were written."""


class FileStats(Record):
    """Statistics of an output."""

    _records = {"all": "Numbers"}
    _maps = {"sources": "Numbers"}
    all: Numbers
    """Statistics of all rows."""
    bytes: int
    """Size in bytes."""
    output: str
    """Name of the file in the output folder."""
    sources: dict[str, Numbers]
    """Statistics by source."""
    unreadable: int
    """Number of lines that are not rows as datac writes them."""


class FileStatus(Record):
    """One output file."""

    blake3: str
    """BLAKE3 of the bytes."""
    bytes: int
    """Size in bytes."""
    name: str
    """Name of the file in the output folder."""
    rows: int
    """Number of rows."""
    state: str
    """State of the file compared with the last build."""


class FilterCount(Record):
    """How many samples came to a filter and how many it let through."""

    failed: int
    """Rows that the function refuses: those of which it raised an exception. They are rejects, not among the samples that
    came."""
    failure: str | None
    """Why it refuses the first."""
    filter: str
    """The filter's `type`; of one by the value of a column `column:` and the column; of a function in Python its name."""
    rows_in: int
    """Samples that came to it."""
    rows_out: int
    """Samples that passed it."""
    unknown: int
    """Number of those that came to it and that it could not judge, such as texts of no certain language, rows without the
    column, or samples that a function gave no score."""


class Identified(Record):
    """The source rows of which a row with this `id` was made."""

    _records = {"rows": "Journey"}
    id: str
    """The `id` of rows of outputs."""
    rows: list[Journey]
    """What happened to each source row whose sample has it: several, if they have the same content."""


class Journey(Record):
    """What happened to a source row in all recipes."""

    _records = {"fates": "FateOf"}
    fates: list[FateOf]
    """What happened to the row, or to each of its samples, in each recipe that names the source; ordered by recipe path."""
    file: str
    """Path of the file."""
    row: int
    """Number of the row in the file, from 0."""
    source: str
    """The source as it was asked for."""
    source_row: Any | None
    """The row as the first recipe read it."""


class LeftSource(Record):
    """A source that another recipe writes."""

    dataset: str
    """Name of the dataset entry."""
    recipe: str
    """Path of the recipe that reads it."""


class ListedRelease(Record):
    """A release in a list."""

    _records = {"content": "Release"}
    bytes: int | None
    """Size of the files in bytes."""
    content: Release | None
    """What its document says."""
    files: int | None
    """Number of files."""
    key: str | None
    """Name of the key that signed it, in `datac.keys` or that of the user; `null` if the release is not used."""
    refused: str | None
    """Why it is not used: its document is damaged, or signed with an unknown key."""
    release: str
    """Name and version of the release."""
    rows: int | None
    """Number of rows, in however many formats they are written."""


class MadeOf(Record):
    """A source row that a row was made of."""

    _records = {"sample": "SampleOf", "source": "SourcePlace"}
    converter: str
    """Name of the converter."""
    converter_code: str
    """Version of the converter."""
    is_latest: bool
    """Whether that was its last build; an earlier one is named only if the row is in no last build."""
    path: str
    """Path of the recipe."""
    recipe: str
    """Name of the recipe."""
    run: int
    """The run that built it."""
    sample: SampleOf | None
    """Which of the samples of its source row it is; `None` if the row yields only one."""
    source: SourcePlace
    """Location of the source row."""


class Mixed(Record):
    """Position of a row in the mixture."""

    kept: int
    """Number of samples of the source that were kept."""
    nth: int
    """Number of the row among the source's rows in this file, from 1."""
    of: int
    """Number of the source's rows in this file."""
    sample: int
    """Number of the sample among the source's kept samples, in source order, from 1."""
    use_of: int
    """Which use of the sample this row is, from 1."""
    uses: int
    """Number of times the sample is used."""


class Note(Record):
    """A statement about a build, once a recipe."""

    about: str
    """The subject."""
    hint: str | None
    """What can be written into the recipe to change that."""
    text: str
    """The statement."""


class Numbers(Record):
    """Statistics of rows."""

    characters: int
    """Number of characters in the texts; of preference pairs, in the preferred side."""
    lengths: list[int]
    """Numbers of rows with a length of 0, 1, 2 to 3, 4 to 7, 8 to 15, and so on."""
    longest: int
    """The length of the longest row."""
    median: int
    """The median length."""
    repeated_prompts: int
    """Number of rows whose prompt occurred in an earlier row."""
    rows: int
    """Number of rows."""
    turns: int
    """Number of messages; 0 for running text."""
    words: int
    """Number of words in the texts, separated by white space."""


class Origin(Record):
    """Origin of a line of an output."""

    _records = {"file": "FileAsBuilt", "filters": "Passed", "mixture": "Mixed", "reject": "Rejected", "sample": "SampleOf", "source": "SourcePlace", "split": "Split"}
    converter: str
    """Name of the converter."""
    converter_code: str
    """Version of the converter."""
    file: FileAsBuilt
    """How the file on disk compares with the file that was built."""
    filters: list[Passed]
    """Score of the row for each filter; empty for rejects."""
    findings: Any | None
    """What the rules found in the row, and how many turns were joined; `None` for rejects."""
    line: int
    """Line in the file as it was built, from 1."""
    mixture: Mixed | None
    """Position of the row in the mixture; `None` for rejects."""
    options: dict[str, str]
    """Options of the converter."""
    output: str
    """Name of the file in the output folder."""
    path: str
    """Path of the recipe."""
    recipe: str
    """Name of the recipe."""
    reject: Rejected | None
    """Why the row was rejected; `None` for rows that were not."""
    row: Any
    """The line itself."""
    run: int
    """The run that built the file."""
    sample: SampleOf | None
    """Which of the samples of its source row it is; `None` if the row yields only one."""
    shortened: str | None
    """What was left out of the sample so that it is not too long for the model, in words."""
    side: str
    """Which of the recipe's files it is."""
    source: SourcePlace
    """Location of the source row."""
    source_row: Any
    """The source row."""
    split: Split | None
    """Why the row is on its side of the split; `None` for rejects."""


class OutputLine(Record):
    """A line of an output."""

    line: int
    """Line in the file, from 1."""
    output: str
    """Name of the file in the output folder."""
    side: str
    """Which of the recipe's files it is."""


class Passed(Record):
    """A filter, and how a row scored with it."""

    bound: str
    """The bound, in the recipe's words."""
    field: str
    """The field that was measured; the column whose value was compared, or the function that judged the sample."""
    filter: str
    """The `type` of the filter."""
    score: Any
    """The score: a number, a language, the value of a column, or what a function said; why it failed, if it did."""


class PastBuild(Record):
    """Explanation of why a run built a recipe."""

    _records = {"files": "RunFile", "reasons": "PastReason"}
    failure: str | None
    """Failure that kept the recipe from being built."""
    files: list[RunFile]
    """The files after the build."""
    reasons: list[PastReason]
    """Changes since the previous build, or other reasons for the build."""
    run: int
    """The run."""
    since: int | None
    """The previous build, which this one is compared with."""
    started: str
    """Start time: RFC 3339, UTC."""
    state: str
    """State of the recipe before the run."""


class PastReason(Record):
    """One reason of a past build."""

    _records = {"change": "Change"}
    change: Change | None
    """The change, if the reason is one."""
    place: list[Any] | None
    """Location of the value in the current recipe: line and column, from 1."""
    text: str
    """The reason in words, such as `mix_ratio of alpaca 1.0 -> 0.7`."""


class Problem(Record):
    """A problem of a recipe."""

    code: str
    """Stable code; `datac explain CODE` describes it."""
    column: int
    """Column of the problem in characters, from 1."""
    hint: str | None
    """What to do about it."""
    line: int
    """Line of the problem, from 1."""
    message: str
    """Statement of what is wrong."""
    note: str | None
    """What shows it best, such as the first of the rows that were rejected."""
    path: str
    """Path of the recipe."""


class Pulled(Record):
    """What was pulled."""

    _records = {"files": "PulledFile", "requests": "Requests"}
    created: str
    """Time at which the release was made: RFC 3339, UTC."""
    dry_run: bool
    """Whether this was a dry run, which writes nothing."""
    files: list[PulledFile]
    """The files, by recipe and path."""
    key: str | None
    """Name of the key that signed it."""
    release: str
    """Name and version of the release."""
    remote: str
    """The shared cache."""
    requests: Requests
    """Requests, each attempt counted."""


class PulledFile(Record):
    """A file that was pulled."""

    blake3: str
    """BLAKE3 of its bytes."""
    bytes: int
    """Size in bytes."""
    path: str
    """Where it is."""
    placement: str
    """What was done."""
    rows: int
    """Number of rows."""


class PulledOutputs(Record):
    """Outputs of a recipe that were pulled from a folder or a bucket."""

    _records = {"files": "PulledFile", "requests": "Requests"}
    dry_run: bool
    """Whether this was a dry run, which writes nothing."""
    files: list[PulledFile]
    """The files, by path."""
    place: str
    """The folder of the recipe, or its address."""
    recipe: str
    """Name of the recipe."""
    requests: Requests
    """Requests, each attempt counted."""
    version: str
    """The version."""


class Pushed(Record):
    """What was pushed to a repository."""

    _records = {"files": "PushedFile"}
    commit: str
    """The commit; if there was nothing to push, the one that is there."""
    dry_run: bool
    """Whether this was a dry run, which sends nothing."""
    files: list[PushedFile]
    """Its files."""
    hub: str
    """The hub."""
    is_new: bool
    """Whether the commit was made now."""
    repo: str
    """The repository, as the hub names it."""
    revision: str
    """The branch."""
    target: str
    """The folder of the target, in the output folder."""
    uploaded_bytes: int
    """Number of bytes of files that were sent."""


class PushedFile(Record):
    """A file that was pushed."""

    bytes: int
    """Size in bytes."""
    is_new: bool
    """Whether it was not there, or had other bytes."""
    path: str
    """Path in the repository, or in the folder of the recipe."""
    rows: int
    """Number of rows."""


class PushedOutputs(Record):
    """What was pushed to a folder or a bucket."""

    _records = {"recipes": "PushedRecipe", "requests": "Requests"}
    dry_run: bool
    """Whether this was a dry run, which sends nothing."""
    recipes: list[PushedRecipe]
    """The recipes, by name."""
    requests: Requests
    """Requests, each attempt counted."""
    to: str
    """The folder or the bucket."""


class PushedRecipe(Record):
    """A recipe that was pushed."""

    _records = {"files": "PushedFile"}
    before: str | None
    """The version that was there before, if any."""
    copied: list[str]
    """Paths of the new files whose bytes the version before had: the bucket has copied them, and nothing was sent."""
    files: list[PushedFile]
    """Its files, by path."""
    is_new: bool
    """Whether `current.json` was replaced; otherwise it said the same already."""
    recipe: str
    """Name of the recipe, which is the folder that it has there."""
    uploaded_bytes: int
    """Number of bytes of files that were sent."""
    version: str
    """The version: the folder of its files, in that of the recipe."""


class Reason(Record):
    """A reason, as serialized to JSON."""

    _records = {"change": "Change"}
    change: Change | None
    """The change, if the reason is one."""
    text: str
    """The reason in words, such as `mix_ratio of alpaca 1.0 -> 0.7`."""


class RecipeReport(Record):
    """Result for one recipe."""

    _records = {"files": "FileStatus", "notes": "Note", "reasons": "Reason", "summary": "Summary", "problems": "Problem", "failure": "Failure"}
    chunks: list[Any]
    """Number of chunks that were converted, and number of all chunks."""
    done: str
    """What the build did with it."""
    files: list[FileStatus]
    """The files at the last build."""
    missing: dict[str, int]
    """Number of actions known to be missing, by stage."""
    name: str
    """Name of the recipe, such as `sft/general`."""
    notes: list[Note]
    """Where the outputs differ from what the recipe asks for; empty if the recipe was up to date."""
    path: str
    """Path of the recipe relative to the workspace."""
    reasons: list[Reason]
    """Reasons for the state."""
    state: str
    """State of the recipe."""
    summary: Summary | None
    """Summary of the outputs; `None` if the recipe could not be built, or is fresh and `BuildOptions::detailed` is not
    set."""
    written: list[str]
    """Names, in the output folder, of the files that were written."""
    problems: list[Problem]
    """Errors in the recipe itself, each with line and column."""
    failure: Failure | None
    """What else keeps the recipe from being built, or kept it from that."""


class RecipeStats(Record):
    """Statistics of a recipe's outputs."""

    _records = {"files": "FileStats", "sources": "SourceSummary", "tokens": "SideTokens"}
    files: list[FileStats]
    """The files; none if the recipe was not built."""
    name: str
    """Name of the recipe."""
    path: str
    """Path of the recipe."""
    sources: list[SourceSummary]
    """Summary of each source at the last build: shares asked for and realised, filters, rejects by reason."""
    tokens: list[SideTokens] | None
    """Statistics of the tokens of each side for the recipe's model, at the last build; none without a model."""
    tokens_unknown: str | None
    """Why there are no statistics of tokens, if the cache has lost what they are made of."""


class RecipeStatus(Record):
    """The state of one recipe, with reasons."""

    _records = {"files": "FileStatus", "reasons": "Reason", "problems": "Problem", "failure": "Failure"}
    files: list[FileStatus]
    """The files at the last build."""
    missing: dict[str, int]
    """Number of actions known to be missing, by stage."""
    name: str
    """Name of the recipe, such as `sft/general`."""
    path: str
    """Path of the recipe relative to the workspace."""
    reasons: list[Reason]
    """Reasons for the state."""
    state: str
    """State of the recipe."""
    problems: list[Problem]
    """Errors in the recipe itself, each with line and column."""
    failure: Failure | None
    """What else keeps the recipe from being built, or kept it from that."""


class Refused(Record):
    """What a shared cache gave that was not used. None of it has reached the local cache."""

    artifacts: int
    """Artifacts whose bytes are not those of their name, and those that the results named and that were not there."""
    misplaced: int
    """Results that are signed, but for something else than what was asked for."""
    unsigned: int
    """Results without a valid signature: unsigned, altered, cut off."""
    untrusted: int
    """Results signed with a key that this workspace does not trust."""


class Rejected(Record):
    """Why a row was rejected."""

    detail: str
    """Details, such as the field or the value at fault."""
    reason: str
    """The reason."""


class Release(Record):
    """The outputs of recipes under a name, as its document has them. Fields may be added; a reader ignores those that it
    does not know."""

    _records = {"recipes": "ReleasedRecipe"}
    created: str
    """Time of the release: RFC 3339, UTC."""
    datac: str
    """The version of datac that made it."""
    name: str
    """Name of the release."""
    recipes: list[ReleasedRecipe]
    """The recipes, by path."""
    version: str
    """Version of the release."""


class ReleaseList(Record):
    """The releases in a shared cache."""

    _records = {"releases": "ListedRelease"}
    releases: list[ListedRelease]
    """The releases, by name and version."""
    remote: str
    """The shared cache."""


class Released(Record):
    """A release that was made, or that was there with the same content."""

    _records = {"requests": "Requests"}
    added_pieces: int
    """Number of pieces that were added to the shared cache."""
    bytes: int
    """Size of the files in bytes."""
    created: str
    """Time at which it was made: RFC 3339, UTC."""
    files: int
    """Number of files."""
    is_key_shared: bool
    """Whether `datac.keys` names that key, so that others can pull the release."""
    is_new: bool
    """Whether it was made now; otherwise it was there, with the same content."""
    key: str
    """The key that signed it."""
    recipes: list[str]
    """Names of the recipes, by path."""
    release: str
    """Name and version of the release."""
    remote: str
    """The shared cache."""
    requests: Requests
    """Requests, each attempt counted."""
    rows: int
    """Number of rows, in however many formats they are written."""
    shared_pieces: int
    """Number of pieces that were there."""


class ReleasedFile(Record):
    """An output file of a release."""

    blake3: str
    """BLAKE3 of the bytes."""
    bytes: int
    """Number of bytes."""
    path: str
    """Path within the output folder."""
    pieces: str | None
    """The list of the pieces that the bytes were cut into; none if they are one piece, which has their digest."""
    rows: int
    """Number of rows."""


class ReleasedRecipe(Record):
    """A recipe of a release."""

    _records = {"files": "ReleasedFile", "lock": "Stored", "manifest": "Stored"}
    files: list[ReleasedFile]
    """Its output files, by path."""
    lock: Stored
    """The pins of its sources: the text of a `datac.lock` that has no others."""
    manifest: Stored
    """The manifest of its build, by which rows are traced."""
    name: str
    """Name of the recipe, such as `sft/general`."""
    path: str
    """Path of the recipe relative to its workspace."""
    text: str
    """Text of the recipe."""


class Removed(Record):
    """Files or blobs that were removed."""

    bytes: int
    """Total size in bytes."""
    count: int
    """Number of files or blobs."""


class Repairs(Record):
    """What was done to a sample beyond taking it from its row."""

    joined_turns: int
    """Number of turns that were joined to the turn before, in all samples of the row."""
    repaired: dict[str, int]
    """Places where rules were broken and mended, by rule."""
    warned: dict[str, int]
    """Places where rules were broken and nothing was done, by rule."""


class Requests(Record):
    """Requests to a shared cache."""

    lists: int
    """Number of requests that list objects."""
    reads: int
    """Number of requests that read an object or a part of one."""
    received_bytes: int
    """Bytes of objects that were received."""
    removals: int
    """Number of requests that remove objects."""
    sent_bytes: int
    """Bytes of objects that were sent."""
    writes: int
    """Number of requests that write an object."""


class RoleNumbers(Record):
    """What tokens stand for: the contents of messages by who says them, or what the template writes around them."""

    assistant: int
    """Tokens of answers, without reasoning and calls of tools."""
    system: int
    """Tokens of messages of the system and the developer."""
    template: int
    """All others: names of roles, ends of turns, tools, calls, reasoning."""
    tool: int
    """Tokens of results of tools."""
    unknown_samples: int
    """Number of samples that are not counted here, since it is not known where their contents stand."""
    user: int
    """Tokens of messages of the user."""


class RowPair(Record):
    """A row before and after."""

    _records = {"new": "DiffRow", "old": "DiffRow"}
    new: DiffRow
    """The row now."""
    old: DiffRow
    """The row before."""


class RowsDiff(Record):
    """Rows that differ between two builds of a recipe, or between two files."""

    _records = {"added": "DiffRow", "changed": "RowPair", "encoded": "TokenPair", "moved": "RowPair", "new": "DiffSide", "old": "DiffSide", "removed": "DiffRow", "sources": "SourceRows"}
    added: list[DiffRow]
    """The first rows that only the new side has."""
    changed: list[RowPair]
    """The first rows whose content changed."""
    encoded: list[TokenPair]
    """The first rows with the same content of which the recipe's model sees other tokens, or is trained on others."""
    moved: list[RowPair]
    """The first rows that moved from one side of the split to the other."""
    new: DiffSide
    """The newer side."""
    old: DiffSide
    """The older side."""
    recipe: str | None
    """Name of the recipe; `None` if two files were compared."""
    removed: list[DiffRow]
    """The first rows that only the old side has."""
    sources: list[SourceRows]
    """Counts by source, in the recipe's order, followed by the sources that only the old side has."""


class RunFile(Record):
    """A file after a run."""

    blake3: str
    """BLAKE3 of its bytes."""
    bytes: int | None
    """Size in bytes, if known."""
    name: str | None
    """Name of the file in the output folder; `None` if the manifest of the build is no longer in the cache."""
    rows: int | None
    """Number of rows, if known."""


class SampleOf(Record):
    """Number of a sample among the samples of its row."""

    nth: int
    """Number of the sample, from 1."""
    of: int
    """Number of samples that the row yields."""


class SharedReport(Record):
    """What a build did with a shared cache."""

    _records = {"refused": "Refused", "requests": "Requests"}
    artifacts: int
    """Number of large artifacts that were fetched. Small ones come with the results."""
    given_up: str | None
    """Why it was not used any further, if that is so."""
    published_artifacts: int
    """Number of large artifacts that were added to it."""
    published_results: int
    """Number of results that were added to it."""
    read_only: str | None
    """Why nothing is added to it; `None` if this build adds what it makes."""
    refused: Refused
    """What it gave that was not used."""
    remote: str
    """The shared cache, as `--remote` names it."""
    requests: Requests
    """Requests, each attempt counted."""
    results: dict[str, int]
    """Number of results that were taken from it, by stage: actions that did not have to run."""


class SideTokens(Record):
    """Statistics of the tokens of one side."""

    _records = {"all": "TokenNumbers"}
    _maps = {"sources": "TokenNumbers"}
    all: TokenNumbers
    """Statistics of all samples."""
    side: str
    """The side: `train`, `validation` or `test`."""
    sources: dict[str, TokenNumbers]
    """Statistics by source."""


class SliceFile(Record):
    """A file of a slice."""

    bytes: int
    """Size in bytes."""
    path: str
    """Path in the repository or the workspace."""
    source: str
    """Name of its source: the repository, or the local path as a recipe gives it."""


class SourcePlace(Record):
    """Location of a source row."""

    commit: str
    """The commit; empty for local files."""
    file: str
    """Path of the file."""
    license: str | None
    """Licence stated in the recipe, or else by the source, if known."""
    line: int | None
    """Line that the row begins on, from 1; `None` for columnar files, or if the source is unavailable."""
    offset: int | None
    """Byte offset of the row in the decompressed file; `None` as for `line`."""
    repo: str
    """The repository, or the local path as given in the recipe."""
    row: int
    """Number of the row in the file, from 0."""
    source: str
    """Name of the source in the recipe."""


class SourceRows(Record):
    """Differences between the rows of one source."""

    added: int
    """Rows that only the new side has."""
    changed: int
    """Rows whose content changed."""
    encoded: int
    """Rows with the same content of which the recipe's model sees other tokens, or is trained on others."""
    moved: int
    """Rows that moved from one side of the split to the other."""
    name: str
    """Name of the source in the recipe."""
    removed: int
    """Rows that only the old side has."""
    same: int
    """Rows that are unchanged and on the same side of the split."""


class SourceSummary(Record):
    """Summary of a source."""

    _records = {"filters": "FilterCount"}
    asked: float
    """The share asked for, from 0 to 1. The shares of all sources add up to 1."""
    filters: list[FilterCount]
    """Number of rows before and after each filter, in order, then before and after comparing sources with each other."""
    joined_turns: int
    """Number of turns that were joined to the turn before."""
    kept: int
    """Number of samples that were kept."""
    mixed: bool
    """Whether its rows are mixed and divided; if not, they make up a side, or are excluded."""
    name: str
    """Name of the source in the recipe."""
    realised: float
    """The share it got, in the unit that the mixture counts."""
    rejects: dict[str, int]
    """Rejected rows by reason code."""
    repaired: dict[str, int] | None
    """Places where rules were broken and mended, by rule."""
    repeats: int
    """Number of those rows that are repeats."""
    rows: int
    """Number of rows on all sides."""
    rows_read: int
    """Number of its rows that were read."""
    rows_without_samples: int | None
    """Number of those of which the converter made no sample, without a reason."""
    shortened: int | None
    """How many samples were made shorter, as `overlong` says."""
    split: int | None
    """How many texts were split, as `overlong` says."""
    unused: dict[str, int] | None
    """Columns that were not used, with the number of rows in which they hold something."""
    warned: dict[str, int] | None
    """Places where rules were broken and nothing was done, by rule."""


class Split(Record):
    """Why a row is on its side of the split."""

    method: str
    """`hash`, `exact`, or `source` if all rows of the source are on one side."""
    prompt_hash: str
    """Hash of the prompt as 16 hexadecimal digits. Rows with the same prompt share it."""
    rank: float
    """Rank of the prompt, in [0, 1): its position among all possible hashes."""
    ratio: float
    """The share held out for the side that the row could have been on."""
    why: str
    """The reason in words."""


class Stats(Record):
    """Statistics of the outputs of several recipes."""

    _records = {"recipes": "RecipeStats"}
    recipes: list[RecipeStats]
    """The recipes, by path."""


class Step(Record):
    """Progress of one stage of a recipe."""

    reused: int
    """Number of actions whose outcome is cached."""
    stage: str
    """The stage: `scan`, `convert`, `score`, `select`, `arrange`, `output`."""
    to_run: int | None
    """Number of actions to run; `None` if it depends on an earlier stage."""
    until_samples: int | None
    """For `scan`: number of samples after which reading stops, because of `max_samples`; `None` if files are read to their
    end, or not at all."""


class Stored(Record):
    """Bytes that are stored in pieces."""

    blake3: str
    """BLAKE3 of the bytes."""
    bytes: int
    """Number of bytes."""
    pieces: str | None
    """The list of the pieces that the bytes were cut into; none if they are one piece, which has their digest."""


class Summary(Record):
    """Summary of a recipe's outputs."""

    _records = {"sources": "SourceSummary"}
    bytes: int
    """Size of the files of all sides in bytes."""
    rejects: int
    """Number of rejected rows."""
    sources: list[SourceSummary]
    """Summary of each source."""
    test_rows: int
    """Number of test rows."""
    train_rows: int
    """Number of training rows."""
    validation_rows: int
    """Number of validation rows."""


class TokenNumbers(Record):
    """Statistics of the tokens of samples, each counted as often as it is used."""

    _records = {"roles": "RoleNumbers"}
    lengths: list[int]
    """Numbers of rows with a length of 0, 1, 2 to 3, 4 to 7, 8 to 15, and so on."""
    longest: int
    """The length of the longest row."""
    median: int
    """The median length."""
    roles: RoleNumbers | None
    """What the tokens stand for; none of running text."""
    samples: int
    """Number of samples."""
    tokens: int
    """Number of their tokens; of a preference, those of the longest answer with its prompt."""
    trained: int
    """Number of tokens that are trained on; of a preference, those of all answers."""


class TokenPair(Record):
    """A row whose content is the same, as the model of the recipe saw it and sees it."""

    _records = {"row": "DiffRow"}
    row: DiffRow
    """The row now."""
    tokens: int
    """Number of its tokens now."""
    tokens_before: int
    """Number of its tokens before."""
    trained: int
    """Number of those that are trained on."""
    trained_before: int
    """Number of those that were trained on."""


class Twin(Record):
    """The row that deduplication kept instead."""

    file: str
    """Path of its file."""
    row: int
    """Number of the row in that file, from 0."""


class WorkReport(Record):
    """What a worker did."""

    _records = {"files": "SliceFile", "left": "LeftSource", "shared": "SharedReport", "failures": "Failure", "problems": "Problem", "error": "Failure"}
    actions: dict[str, int]
    """Number of actions that ran, by stage."""
    elapsed_ms: int
    """Elapsed time in milliseconds."""
    files: list[SliceFile]
    """The files of the slice, the largest first."""
    left: list[LeftSource]
    """Sources that are left to the build, since other recipes write them."""
    of_files: int
    """Number of files of all slices together."""
    recipes: int
    """Number of selected recipes."""
    shared: SharedReport | None
    """What was taken from the shared cache and added to it; `None` if nothing was to be done."""
    slice: str
    """The slice, such as `0/4`."""
    failures: list[Failure]
    """Files and sources that could not be worked on."""
    problems: list[Problem]
    """Errors in recipes, each with line and column."""
    error: Failure | None
    """The worst that went wrong, if anything did."""
