from datetime import timedelta

from ebb.language.settings import Projection
from ebb.models.fit import fit_models
from ebb.models.projection import Texts
from ebb.recommend.half_lives import half_lives_for
from ebb.recommend.settings import Als, HalfLifeSettings, Train
from models.lines import AS_OF, frame, random_lines

LIVES = half_lives_for(timedelta(days=100), HalfLifeSettings())
LINES = random_lines(seed=8, users=12, items=8, count=120)
VECTORS = "item_id string, vector array<float>"
TRAIN = Train(als=Als(rank=2, iterations=1))


def test_every_model_is_fitted_and_those_that_decay_without_it_too(spark) -> None:
    vectors = spark.createDataFrame([("i0", [1.0, 0.0]), ("i1", [0.0, 1.0])], VECTORS)
    texts = Texts(vectors, Projection())
    fitted = fit_models(frame(spark, LINES), AS_OF, LIVES, TRAIN, texts=texts)
    weights = {row.model for row in fitted.item_weights.select("model").distinct().collect()}
    factors = {(row.model, len(row.factors)) for row in fitted.item_factors.collect()}
    fitted.release()
    assert weights == {"neighbours", "neighbours_flat", "ease", "ease_flat"}
    assert factors == {("als", 2), ("als_flat", 2), ("projected", 2)}
    assert set(fitted.metrics) == {*weights, "als", "als_flat", "projected"}
    assert fitted.metrics["als"].keys() == {"users", "items", "pairs"}
    assert fitted.remarks == ()


def test_models_that_are_not_wanted_are_not_fitted(spark) -> None:
    only = Train(models=("ease",))
    fitted = fit_models(frame(spark, LINES), AS_OF, LIVES, only)
    assert set(fitted.metrics) == {"ease", "ease_flat"}
    assert fitted.item_factors.collect() == []
    fitted.release()
    none = fit_models(frame(spark, LINES), AS_OF, LIVES, Train(models=()))
    assert none.item_weights.collect() == [] and dict(none.metrics) == {}
    none.release()


def test_with_nothing_to_learn_from_there_are_no_models(spark) -> None:
    fitted = fit_models(frame(spark, [("u", None, 1.0, 1.0)]), AS_OF, LIVES, TRAIN)
    assert fitted.item_weights.collect() == [] and fitted.item_factors.collect() == []
    assert dict(fitted.metrics) == {}
    fitted.release()
