"""The rows of outputs, by every way in which they are read."""

import json
import pickle
import subprocess
import sys

import pytest
from conftest import alpaca

import datac


def lines(output):
    return [json.loads(line) for path in output.paths for line in path.read_bytes().split(b"\n") if line]


def test_rows_are_those_of_the_file(built):
    for recipe in built:
        for output in (recipe.train, recipe.validation):
            rows = lines(output)
            assert len(output) == len(rows) and list(output) == rows
            assert output[0] == rows[0] and output[-1] == rows[-1] == output[len(rows) - 1]
            assert output[3:7] == rows[3:7] and output[::-50] == rows[::-50] and output[5:2] == []
            with pytest.raises(IndexError):
                output[len(rows)]


def test_characters_that_end_lines_elsewhere_do_not_here(own):
    ws = own(alpaca(60))
    ws.build()
    train = ws["sft/own"].train
    assert list(train) == train[:] == [train[at] for at in range(len(train))] == lines(train)
    assert any("\x85" in row["text"] for row in train) and any("\u2028" in row["text"] for row in train)


def test_a_row_is_traced_to_its_source_and_back(built):
    train = built["sft/general"].train
    origin = train.origin(5)
    assert (origin.source.repo, origin.converter, origin.line) == ("tatsu-lab/alpaca", "alpaca", 6)
    assert origin.filters[0].filter == "length" and origin.filters[0].score >= 20
    journey = built.trace(origin.source.repo, origin.source.file, origin.source.row)
    fate = next(fate for fate in journey.fates if fate.recipe == "sft/general")
    assert (fate.fate, fate.lines[0].line) == ("written", 6)
    assert train.origin(-1).line == len(train)
    with pytest.raises(IndexError):
        train.origin(len(train))


def test_rejected_and_dropped_rows_are_seen(built):
    general = built["sft/general"]
    rejects = general.rejects
    assert [reject["reason"] for reject in rejects] == ["empty_output"] * 2
    assert rejects.origin(0).reject.reason == "empty_output"
    dropped = general.dropped("length", limit=3)
    assert (dropped.total, len(dropped)) == (12, 3)
    assert all(row.by.filter == "length" and row.by.score < 20 for row in dropped)
    with pytest.raises(datac.ConfigError, match="no filter"):
        general.dropped("language")
    assert len(built["rlaif/ppo"].rejects) == 0 and list(built["rlaif/ppo"].rejects) == []


def test_statistics_are_those_of_the_rows(built):
    general = built["sft/general"]
    assert general.train.stats[0].all.rows == len(general.train)
    assert general.stats.sources[0].rejects == {"empty_output": 2}


def test_an_output_that_was_edited_is_refused(own):
    ws = own(alpaca(40))
    ws.build()
    train = ws["sft/own"].train
    train.path.write_text("{}\n")
    with pytest.raises(datac.DatacError, match="edited by hand"):
        ws["sft/own"].train
    ws.build()
    assert list(ws["sft/own"].train) == list(train)


def test_an_output_is_pickled_by_its_bytes(own):
    ws = own(alpaca(40))
    ws.build()
    train = ws["sft/own"].train
    pickled = pickle.dumps(train)
    assert list(pickle.loads(pickled)) == list(train)
    own(alpaca(45)).build()
    with pytest.raises(datac.DatacError, match="other bytes"):
        pickle.loads(pickled)


def test_an_output_is_of_one_build(own):
    ws = own(alpaca(40))
    ws.build()
    read, unread = ws["sft/own"].train, ws["sft/own"].train
    rows = read[:]
    own(alpaca(45)).build()
    # A file that is open stays the file it was.
    assert read[:] == rows
    for reads in (list, lambda output: output[0]):
        with pytest.raises(datac.DatacError, match="built again"):
            reads(unread)


# Four shapes that have a column `messages`, each in a container of its own.
SHAPES = {"openai": "jsonl", "axolotl": "jsonl.zst", "swift": "parquet", "trl": "arrow"}
OUTPUTS = "output:\n" + "".join(f"  - {{ shape: {shape}, container: {form}, shards: 3 }}\n" for shape, form in SHAPES.items())


@pytest.fixture
def shaped(own):
    ws = own(alpaca(200), more=OUTPUTS)
    ws.build()
    return ws["sft/own"]


def test_rows_are_the_same_in_every_container_and_shard(shaped):
    assert set(shaped.outputs) == set(SHAPES)
    with pytest.raises(datac.ConfigError, match="choose one"):
        shaped.train
    wanted = None
    for shape, form in SHAPES.items():
        train = shaped.outputs[shape].train
        assert (train.container, len(train.paths)) == (form, 3)
        with pytest.raises(datac.ConfigError, match="3 files"):
            train.path
        rows = list(train)
        assert len(rows) > 150 and rows == train[:] == [train[at] for at in range(len(train))]
        asked = [row["messages"][0]["content"] for row in rows]
        assert asked == (wanted := wanted or asked)
        for place in (0, len(rows) // 2, len(rows) - 1):
            assert train.origin(place).source.row == int(asked[place].split()[2].split("?")[0])


def decoded(value, of):
    """A value of an Arrow table with what is JSON text in it parsed."""
    import pyarrow

    if value is None:
        return None
    if isinstance(of, pyarrow.BaseExtensionType):
        assert of.extension_name == "arrow.json"
        return json.loads(value)
    if pyarrow.types.is_struct(of):
        return {field.name: decoded(value[field.name], field.type) for field in of}
    return [decoded(item, of.value_type) for item in value] if pyarrow.types.is_list(of) else value


def rows_of(table):
    return [{field.name: decoded(row[field.name], field.type) for field in table.schema} for row in table.to_pylist()]


def plain(value):
    """A row without what only Arrow adds: columns that a row has not."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if inner is not None}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def test_arrow_has_the_same_rows(built, shaped):
    pyarrow = pytest.importorskip("pyarrow")
    outputs = [output for recipe in built for output in (recipe.train, recipe.validation)]
    outputs += [sides.train for sides in shaped.outputs.values()]
    for output in outputs:
        table = pyarrow.table(output)
        table.validate(full=True)
        assert table.num_rows == len(output)
        assert plain(rows_of(table)) == plain(list(output))
        assert table.equals(output.to_arrow())
    with pytest.raises(datac.ConfigError):
        pyarrow.table(built["sft/general"].rejects)


def test_a_stream_is_read_once_and_released(own):
    pyarrow = pytest.importorskip("pyarrow")
    ws = own(alpaca(60))
    ws.build()
    train = ws["sft/own"].train
    reader = pyarrow.RecordBatchReader.from_stream(train)
    assert [field.name for field in reader.schema] == ["conversations", "text", "source"]
    assert sum(batch.num_rows for batch in reader) == len(train)
    # One that nobody reads, and one that is read in part.
    train.__arrow_c_stream__()
    pyarrow.RecordBatchReader.from_stream(train).read_next_batch()
    train.path.write_text("{}\n")
    with pytest.raises(datac.DatacError, match="edited by hand"):
        train.__arrow_c_stream__()


def test_columns_of_rare_rows_are_there_from_the_first_row(own):
    pyarrow = pytest.importorskip("pyarrow")
    calls = [{"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}]
    rows = [{"messages": [{"role": "user", "content": f"q{at}"}, {"role": "assistant", "content": f"a{at}"}]} for at in range(50)]
    rows.append({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": calls}], "tools": []})
    ws = own(rows)
    ws.build()
    train = ws["sft/own"].train
    table = pyarrow.table(train)
    assert table.num_rows == len(train)
    assert [plain(row["conversations"]) for row in rows_of(table)] == [plain(row["conversations"]) for row in train]


def test_a_dataset_has_the_rows_and_a_fingerprint_of_the_bytes(built, shaped):
    datasets = pytest.importorskip("datasets")
    train = built["sft/general"].train
    dataset = train.dataset()
    assert dataset.to_list() == list(train) and str(dataset.split) == "train"
    assert dataset._fingerprint == train.digest == built["sft/general"].train.dataset()._fingerprint
    mapped = shaped.outputs["trl"].train.dataset()
    assert plain(mapped.to_list()) == plain(list(shaped.outputs["trl"].train))
    assert [file["filename"] for file in mapped.cache_files] == [str(path) for path in shaped.outputs["trl"].train.paths]
    assert isinstance(dataset.filter(lambda row: len(row["text"]) > 100), datasets.Dataset)


def test_polars_has_the_rows(built):
    polars = pytest.importorskip("polars")
    train = built["sft/general"].train
    assert train.to_polars().to_dicts() == list(train) == polars.DataFrame(train).to_dicts()


# In a process of its own: what another test has imported stays.
ALONE = """
import sys
sys.modules["pyarrow"] = None
import datac, polars
ws = datac.Workspace(sys.argv[1])
for output in [ws["sft/own"].outputs[shape].train for shape in sys.argv[2:]]:
    rows = polars.DataFrame(output)
    assert rows.height == len(output) > 150, rows
    assert rows["messages"].to_list() == [row["messages"] for row in output]
"""


def test_polars_needs_no_pyarrow(shaped):
    pytest.importorskip("polars")
    subprocess.run([sys.executable, "-c", ALONE, shaped.workspace.path, *SHAPES], check=True)


def test_duckdb_has_the_rows(built):
    duckdb = pytest.importorskip("duckdb")
    train = built["sft/general"].train
    [counted] = duckdb.sql("select count(*), min(source) from train").fetchall()
    assert counted == (len(train), min(row["source"] for row in train))


def test_torch_has_the_rows(built):
    torch = pytest.importorskip("torch")
    train = built["sft/general"].train
    rows = train.torch()
    assert len(rows) == len(train) and rows[3] == train[3]
    loader = torch.utils.data.DataLoader(rows, batch_size=50, num_workers=2, collate_fn=list)
    assert [row for batch in loader for row in batch] == list(train)
