"""From data to predictions with `import hpo`, on the built-in demo data.

Run it with `python examples/quickstart.py`; it takes about a minute on two cores. With your own
data, replace `"demo"` by a folder with train.csv and images, and leave out `settings`, which make
the study small enough for a first try.
"""

import hpo

# Images and captions are encoded once; the next run finds their embeddings in .hpo/.
data = hpo.load_data("demo")
print(data)

# One configuration, with three seeds.
run = hpo.train(data, hpo.Config(fusion="concat", hidden=(64,), lr=0.003, epochs=20), seeds=3)
print(f"concat: {run.score:.2f} ± {run.std:.2f}")
print(run.curve.tail(3))

# A study over fusions, losses, layers and more. It is kept in studies.db: run this script again,
# and it goes on where it was, or only prints its result.
study = hpo.create_study(
    data,
    space="greedy",
    name="quickstart",
    settings={"seeds": 1, "scale.epochs": 0.04, "scale.width": 0.03125},
)
study.optimize(workers=2)
print(study.best_config, study.best_value)
print(study.leaderboard().head())
print(study.optuna.best_trial.number, "is the best trial for Optuna as well")

# The best configuration, trained on all labelled rows.
model = study.refit()
model.save("my-model")

model = hpo.load_model("my-model")
print(model.predict(images=[".hpo/demo/images/0.jpg"], captions=["a dog on a beach"]))

# Embeddings that exist already need no encoding.
embeddings = {name: array[:3] for name, array in data.features.test.items()}
print(model.predict_proba(**embeddings))
