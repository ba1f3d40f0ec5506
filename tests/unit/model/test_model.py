from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from churn.core.errors import ContractError, ModelError
from churn.model.model import ChurnModel, sigmoid
from churn.training.boosting import BoostingParams
from churn.training.symmetric import grow_symmetric
from churn.training.train import ModelSettings, train
from tests.fakes.data.customers import CONTRACT, customers, raw_columns

FAST = BoostingParams(max_rounds=15)
RAW = raw_columns(200, seed=9)


@pytest.fixture(scope="module")
def model() -> ChurnModel:
    data = customers(400)
    additive, boosting = (
        train(data, CONTRACT, ModelSettings(folds=3, candidates=(name,), boosting=FAST), seed=0).model
        for name in ("additive", "boosting")
    )
    symmetric = grow_symmetric(additive.encode(data.columns), additive.categories, data.label, rounds=15, seed=0)
    return replace(additive, booster=boosting.booster, symmetric=symmetric, intercept=boosting.intercept)


@pytest.mark.slow
def test_a_probability_belongs_to_its_log_odds(model: ChurnModel) -> None:
    np.testing.assert_allclose(model.probability(RAW), 1 / (1 + np.exp(-model.logit(RAW))))
    np.testing.assert_array_equal(sigmoid(np.array([-1e4, 0.0, 1e4])), [0.0, 0.5, 1.0])


def test_features_are_computed_inside_or_taken_as_given(model: ChurnModel) -> None:
    complete = model.complete(RAW)
    assert list(complete) == ["tenure", "charges", "plan", "noise", "spent"]
    np.testing.assert_array_equal(model.logit(complete), model.logit(RAW))
    given = {**RAW, "spent": np.full(200, 1e9)}
    assert np.abs(model.logit(given) - model.logit(RAW)).max() > 0.01


def test_a_missing_column_is_named_with_the_nearest_that_is_there(model: ChurnModel) -> None:
    columns = {**RAW, "tenur": RAW["tenure"]}
    del columns["tenure"]
    with pytest.raises(ContractError, match=r"reads 'tenure', which the columns lack; did you mean 'tenur'"):
        model.probability(columns)


def test_text_in_place_of_numbers_is_named(model: ChurnModel) -> None:
    with pytest.raises(ContractError, match=r"reads numbers from 'noise'.*Make the column numeric"):
        model.probability({**RAW, "noise": np.full(200, "many", dtype=object)})


def test_other_columns_and_their_order_change_nothing(model: ChurnModel) -> None:
    backwards = dict(reversed(RAW.items())) | {"customer_id": np.arange(200).astype(object)}
    np.testing.assert_array_equal(model.logit(backwards), model.logit(RAW))


def test_a_row_is_scored_by_itself_alone(model: ChurnModel) -> None:
    one_by_one = [model.logit({name: values[row : row + 1] for name, values in RAW.items()})[0] for row in range(20)]
    np.testing.assert_array_equal(one_by_one, model.logit(RAW)[:20])


def test_unknown_categories_and_infinities_are_scored_as_missing(model: ChurnModel) -> None:
    strange = {**RAW, "plan": np.full(200, "platinum", dtype=object), "charges": np.full(200, np.inf)}
    absent = {**RAW, "plan": np.full(200, None, dtype=object), "charges": np.full(200, np.nan)}
    np.testing.assert_array_equal(model.logit(strange), model.logit(absent))
    assert np.isfinite(model.logit(strange)).all()
    assert model.encoder.unseen(strange) == {"plan": 200}
    assert model.encoder.unseen(RAW) == model.encoder.unseen(absent) == {}


def test_no_rows_give_no_predictions(model: ChurnModel) -> None:
    nothing = {name: values[:0] for name, values in RAW.items()}
    assert model.probability(nothing).shape == (0,)
    assert model.contributions(nothing).shape == (0, 6)


@pytest.mark.parametrize("without", ["additive", "booster", "symmetric", None])
def test_contributions_add_up_to_the_log_odds(model: ChurnModel, without: str | None) -> None:
    model = model if without is None else replace(model, **{without: None})
    added = model.contributions(RAW)
    np.testing.assert_allclose(added.sum(axis=1), model.logit(RAW), atol=1e-9)
    assert np.ptp(added[:, -1]) < 1e-4
    assert np.abs(added[:, :-1]).max() > 0.1


def test_the_additive_part_contributes_its_terms(model: ChurnModel) -> None:
    alone = replace(model, booster=None, symmetric=None)
    assert alone.additive is not None
    terms = dict(alone.additive.terms(alone.encode(RAW)))
    for index, name in enumerate(("tenure", "charges", "plan", "noise", "spent")):
        np.testing.assert_allclose(alone.contributions(RAW)[:, index], terms[name], atol=1e-12)


@pytest.mark.parametrize("without", ["additive", "booster", "symmetric", None])
def test_a_saved_model_predicts_the_same(model: ChurnModel, without: str | None, tmp_path: Path) -> None:
    model = model if without is None else replace(model, **{without: None})
    model = replace(model, thresholds={**model.thresholds, "profit": 0.125})
    model.save(tmp_path / "model")
    again = ChurnModel.load(tmp_path / "model")
    np.testing.assert_array_equal(again.logit(RAW), model.logit(RAW))
    np.testing.assert_array_equal(again.contributions(RAW), model.contributions(RAW))
    assert again.thresholds == {**model.thresholds, "profit": 0.125}
    assert (again.details, again.schema, again.digest) == (model.details, model.schema, model.digest)


def test_a_saved_model_is_json_and_ubj_only(model: ChurnModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "booster.ubj",
        "manifest.json",
        "model.json",
        "symmetric.json",
    ]
    for name in ("model.json", "symmetric.json"):
        json.loads((tmp_path / name).read_text())


def test_the_digest_changes_with_the_content(model: ChurnModel) -> None:
    assert replace(model, thresholds={"profit": 0.2}).digest != replace(model, thresholds={"profit": 0.3}).digest
    assert replace(model, details={**model.details}).digest == model.digest
    assert replace(model, booster=None).digest != model.digest


def test_feature_functions_of_the_user_s_own_travel_with_the_model(model: ChurnModel, tmp_path: Path) -> None:
    source = "def ratio(top, bottom):\n    return top * 0 + 7.0\n"
    replace(model, feature_source=source).save(tmp_path)
    again = ChurnModel.load(tmp_path)
    assert again.feature_source == source
    assert set(again.complete({**RAW, "charges": np.ones(200)})["spent"]) == {7.0}


@pytest.mark.parametrize("name", ["model.json", "symmetric.json", "booster.ubj", "manifest.json"])
def test_a_missing_file_is_refused(model: ChurnModel, name: str, tmp_path: Path) -> None:
    model.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ModelError, match=name.replace(".", r"\.") + r".*fetch the model again"):
        ChurnModel.load(tmp_path)


@pytest.mark.parametrize("name", ["model.json", "symmetric.json", "booster.ubj"])
def test_a_changed_file_is_refused(model: ChurnModel, name: str, tmp_path: Path) -> None:
    model.save(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[-5] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"{name} has changed since the model was saved"):
        ChurnModel.load(tmp_path)


def test_a_pickle_is_refused(model: ChurnModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    (tmp_path / "model.pkl").write_bytes(b"anything")
    with pytest.raises(ModelError, match=r"holds model\.pkl, which is none of a model's files"):
        ChurnModel.load(tmp_path)


def test_feature_functions_that_were_slipped_in_are_refused_and_not_run(model: ChurnModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    (tmp_path / "features.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(ModelError, match=r"features\.py has changed since"):
        ChurnModel.load(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_another_format_is_refused(model: ChurnModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "format": 2}))
    with pytest.raises(
        ModelError, match="has format 2; this version reads format 1: it was written by a newer version"
    ):
        ChurnModel.load(tmp_path)


def test_a_folder_that_holds_other_files_is_not_saved_into(model: ChurnModel, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ModelError, match=r"holds notes\.txt: save the model into a folder of its own"):
        model.save(tmp_path)


def test_a_place_that_cannot_be_written_is_named(model: ChurnModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"cannot be saved in .*file.*choose a folder that can be written"):
        model.save(tmp_path / "file")
