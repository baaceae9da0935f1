"""A new user's way: pictures and a TSV with one-hot columns, to labels of other pictures."""

from pathlib import Path

from benchmarks.first_use import first_use


def test_three_commands_and_no_edit_of_a_file(tmp_path: Path) -> None:
    options = ["--epoch-budget", "60", "--workers", "1", "--devices", "cpu"]
    used = first_use(tmp_path, pictures=120, others=20, options=options)
    checked, ran, predicted = (text.splitlines() for text in used.printed)
    assert "table labels.tsv: 120 rows (train); columns: image filename, labels " in checked[1]
    assert "labelled: 120 rows" in checked and checked[-1] == "nothing is doubtful"
    assert any(line.endswith("to validate, 0 to predict, 18 classes") for line in ran), ran
    assert predicted[20:] == [
        "predicted 20 rows of what was given, 18 classes",
        "  predictions.csv",
    ]
    assert used.micro_f1 > 0.8 * used.constant
