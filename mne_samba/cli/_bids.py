"""``mne_samba bids``: from a BIDS folder to models, scores and reports."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import GroupKFold

from ..data.channels import picked
from ..evaluation import GroupTest, evaluate, group_test, parcel_adjacency
from ..evaluation._samples import take
from ..evaluation.group import person_scores
from ..inverse import InverseTranslator
from ..io import harmonize, read_bids_pair
from ..io._atlas import as_masker
from ..io._bids import runs_of
from ..io._bids_files import (
    bare,
    ele_files,
    entities_of,
    narrow,
    subjects_of,
)
from ..io._scan import RepetitionTimeError
from ..latents import LatentTranslator
from ..model_selection import BlockedTimeSplit
from ..models import InverseSambaModel, SambaModel, Trainer
from ..reader import Reader
from ..translator import SambaTranslator
from ..windows import make_windows
from ._bids_group import compare_responses, groups_of, own_scores
from ._bids_options import result_options
from ._bids_output import (
    atlas_of,
    write_description,
    write_group,
    write_map,
    write_prediction,
    write_report,
    write_responses,
    write_scores,
)
from ._session import fail, on_one_thread
from ._staging import clear_stale, is_done, staged

_CONTEXT = 30.0


def run_bids(args) -> int:
    """Run the command: 0 on success, 1 where something failed."""
    with on_one_thread("ERROR" if args.quiet else "WARNING"):
        return Run(args).run()


class Run:
    """One call of the command."""

    def __init__(self, args):
        self.args = args
        self.root, self.out = Path(args.bids_dir), Path(args.out_dir)
        self.options = result_options(args)
        self.say = (lambda *_: None) if args.quiet else lambda text: print(text, flush=True)

    def run(self) -> int:
        """Do what was asked, person by person."""
        subjects = self.subjects()
        self.out.mkdir(parents=True, exist_ok=True)
        clear_stale(self.out)
        write_description(self.out, self.root)
        if self.args.level == "group":
            return self._group(subjects)
        heads = {s: f"sub-{s} ({i + 1}/{len(subjects)})" for i, s in enumerate(subjects)}
        return self._each(subjects, lambda subject: self._participant(subject, heads[subject]))

    def _each(self, subjects: list[str], work: Callable) -> int:
        """Do something for every person; one must not take the others along."""
        code = 0
        for subject in subjects:
            try:
                work(subject)
            except Exception as error:
                code = fail(error, self.args.debug, f"sub-{subject}: ")
        return code

    def subjects(self) -> list[str]:
        """Names of the people that are wanted, once there is a folder and an atlas."""
        if not self.root.is_dir():
            raise FileNotFoundError(f"BIDS_DIR is no folder: {self.root}")
        as_masker(self.args.atlas)
        there = subjects_of(self.root)
        wanted = self.args.participant_label
        if wanted is None:
            if not there:
                raise FileNotFoundError(f"{self.root} holds no sub-* folder: is it a BIDS folder?")
            task = self.args.task
            found = [
                s for s in there
                if any(entities_of(p).get("task") == task for p in ele_files(self.root, s))
            ]  # fmt: skip
            if not found:
                raise FileNotFoundError(f"Nobody in {self.root} has a recording of task-{task}.")
            return found
        wanted = [bare(s, "sub") for s in wanted]
        unknown = [s for s in wanted if s not in there]
        if unknown:
            raise FileNotFoundError(
                f"No folder sub-{unknown[0]} in {self.root}; there are {there[:12]}."
            )
        return list(dict.fromkeys(wanted))

    def _read(self, subject: str) -> list:
        args, session = self.args, bare(self.args.session, "ses")
        every = ele_files(self.root, subject, args.datatype)
        files = [entities_of(path) for path in narrow(every, dict(args.entities))]
        runs = [
            (run, file.get("ses")) for file in files
            if file.get("task") == args.task and session in (None, file.get("ses"))
            for run in self._runs_in(subject, file)
        ]  # fmt: skip
        if not runs:
            raise FileNotFoundError(f"no recording of task-{args.task} in {self.root}")
        return [self._read_run(subject, *run) for run in runs]

    def _runs_in(self, subject: str, file: dict) -> list[str | None]:
        """Name the runs of BOLD in one recording, whose entities are given."""
        runs = runs_of(self.root, subject, self.args.task, file, self.args.derivatives)
        if len(runs) > 1 and self.args.first_volume is not None:
            raise ValueError(
                f"one recording holds the runs {runs}, but --first-volume places the volumes of "
                "one: mark volumes by triggers, or cut the recording into one file for each run."
            )
        return runs

    def _read_run(self, subject: str, run: str | None, session: str | None):
        args = self.args

        def read(t_r):
            return read_bids_pair(
                self.root, subject, args.task, run, session, masker=args.atlas,
                derivatives=args.derivatives, space=args.space,
                confounds=tuple(args.confounds) or None, datatype=args.datatype, t_r=t_r,
                volume_event=None if args.first_volume is not None else args.volume_event,
                first_volume=args.first_volume or 0.0, n_dummy=args.n_dummy,
                clean=tuple(args.clean) or None, sfreq=args.sfreq,
                entities=dict(args.entities),
            )  # fmt: skip

        try:
            return read(None)
        except RepetitionTimeError:
            # People may differ in t_r: what the model's frames are decides only where files do not.
            if args.t_r is None:
                raise
            return read(args.t_r)

    def _common(self, pairs: list) -> list:
        """Bring runs to one rate, and to the regions that were measured in all of them."""
        match = "match" if self.args.channels == "match" else None
        every = {p.raw.ch_names[i] for p in pairs for i in picked(p.raw, None)}
        pairs = harmonize(pairs, t_r=self.args.t_r, channels=match)
        if match is not None:
            kept = {name.casefold() for name in pairs[0].raw.ch_names}
            dropped = sorted(name for name in every if name.casefold() not in kept)
            if dropped:
                self.say(f"  channels {dropped} are not in all runs and are left out")
        missing = [
            name for name in pairs[0].bold.columns if any(p.bold[name].isna().all() for p in pairs)
        ]
        if missing:
            self.say(f"  regions {missing} were not measured in all runs and are left out")
            for pair in pairs:
                note = dict(pair.bold.attrs)
                pair.bold = pair.bold.drop(columns=missing)
                pair.bold.attrs = note
        return pairs

    @property
    def _channels(self) -> str:
        # Those that all share are picked before.
        return "error" if self.args.channels == "match" else self.args.channels

    def _reader(self, pairs: list) -> Reader:
        return pairs[0].reader.set_params(channels=self._channels)

    def _translator(self, pairs: list, inverse: bool = False, whole: bool = True):
        """Build a translator of recordings, or of windows, which know their frames themselves."""
        args = self.args
        reader = self._reader(pairs) if whole else Reader(channels=self._channels)
        model = "core" if args.corrections == "never" else "samba"
        if args.corrections == "always":
            model = (InverseSambaModel if inverse else SambaModel)(corrections="always")
        kind = InverseTranslator if inverse else SambaTranslator
        trainer = Trainer() if args.window is None else Trainer(window=args.window)
        return kind(
            t_r=pairs[0].t_r, model=model, reader=reader, trainer=trainer,
            random_state=args.seed, verbose="ERROR",
        )  # fmt: skip

    def _done(self, folder: Path, head: str) -> bool:
        if self.args.overwrite or not folder.is_dir():
            return False
        done = is_done(folder, self.options, may_change="own_models")
        self.say(f"{head}: " + ("done before" if done else "again, as people's own models changed"))
        return done

    def _participant(self, subject: str, head: str) -> None:
        folder = self.out / f"sub-{subject}"
        if self._done(folder, head):
            return
        start = time.perf_counter()
        pairs = self._read(subject)
        self.say(f"{head}: {len(pairs)} run(s), {sum(len(p.bold) for p in pairs)} frames")
        pairs = self._common(pairs)
        epochs, y = make_windows(
            [p.raw for p in pairs], [p.bold for p in pairs], t_r=pairs[0].t_r,
            window=self.args.window, context=_CONTEXT, subject=f"sub-{subject}",
            run=[p.run or "1" for p in pairs], reader=self._reader(pairs),
        )  # fmt: skip
        length = epochs.metadata["n_frames"].iloc[0] * pairs[0].t_r
        self.say(f"  {len(epochs)} windows of {length:g} s")
        folds = self.args.folds
        splitter = None if folds is None else BlockedTimeSplit(n_splits=folds)
        self._results(folder, pairs, epochs, y, None, splitter, head, start)

    def _group(self, subjects: list[str]) -> int:
        folder, head = self.out / "group", f"group of {len(subjects)}"
        own, digests = own_scores(self.out, subjects, self.args.task)
        self.options = {**self.options, "participants": subjects, "own_models": digests}
        if self._done(folder, head):
            return 0
        if len(subjects) < 2:
            raise ValueError(f"group needs at least two people, got {subjects}.")
        responses = None
        if self.args.group_by is not None:
            groups = groups_of(self.root, self.args.group_by, subjects)
            responses = compare_responses(self.out, groups, self.args.task, self.args.seed)
        start = time.perf_counter()
        pairs, people, code = self.pairs_of(subjects, 2)
        folds = self.args.folds
        splitter = GroupKFold(min(folds, len(set(people)))) if folds else None
        self.say(f"{head}: {len(pairs)} run(s), {sum(len(p.bold) for p in pairs)} frames")
        X, y = [p.raw for p in pairs], [p.bold for p in pairs]
        self._results(folder, pairs, X, y, people, splitter, head, start, own, responses)
        return code

    def _group_tests(self, result, own: dict, atlas) -> dict[str, GroupTest]:
        """Test the people of a group: models of the others, and their own models."""
        people = {"others": result.recordings_["subject"].nunique(), "own": len(own)}
        options = {"random_state": self.args.seed}
        if atlas is not None:
            options["adjacency"] = parcel_adjacency(atlas)
        tests = {}
        if people["others"] >= 3:
            tests["models of the others"] = group_test(result, **options)
        if people["own"] >= 3:
            # A region that somebody's scan does not cover is missing in them alone.
            scores = pd.concat([
                person_scores(table, result.translator, result.metric).set_axis([person])
                for person, table in own.items()
            ]).reindex(columns=result.target_names_)  # fmt: skip
            test = group_test(scores, metric=result.metric, **options)
            tests["own models"] = replace(test, model=f"{result.translator} of their own")
        for name, n in people.items():
            if 0 < n < 3:
                self.say(f"  group statistics need three people: {n} with models of {name}")
        return tests

    def pairs_of(self, subjects: list[str], at_least: int) -> tuple[list, list[str], int]:
        """Read runs at one rate; whose they are, and 1 where somebody cannot be read."""
        pairs = []
        code = self._each(subjects, lambda subject: pairs.extend(self._read(subject)))
        people = [f"sub-{p.subject}" for p in pairs]
        if len(set(people)) < at_least:
            few = {1: "nobody", 2: "fewer than two people"}[at_least]
            raise ValueError(f"{self.args.command}: {few} can be read.")
        return self._common(pairs), people, code

    def _results(
        self, folder, pairs, X, y, groups, splitter, head, start, own=None, responses=None
    ) -> None:
        args, names = self.args, list(pairs[0].bold.columns)
        result, back, whole = None, pd.DataFrame(), groups is not None
        name = f"{'' if whole else folder.name + '_'}task-{args.task}"
        cache = self.out / ".cache" / folder.name
        if args.direction != "hemo_to_ele":
            result = evaluate(
                self._translator(pairs, whole=whole), X, y, groups, splitter,
                nulls=("circular_shift",), n_shifts=args.n_shifts, target_names=names,
                context=_CONTEXT, n_jobs=args.n_jobs, cache=cache, random_state=args.seed,
                verbose="ERROR",
            )  # fmt: skip
        if args.direction != "ele_to_hemo":
            model = self._translator(pairs, inverse=True, whole=whole)
            back = self._backward(model, X, y, groups, splitter)
        raws, bolds = [p.raw for p in pairs], [p.bold for p in pairs]
        there, way_back = self._translator(pairs), self._translator(pairs, inverse=True)
        if args.direction == "hemo_to_ele":
            fitted = way_back.fit(bolds, raws)
        else:
            both = args.direction == "both"
            fitted = (LatentTranslator(there, way_back) if both else there).fit(raws, bolds)
        tests, atlas = {}, atlas_of(pairs[0].masker, names)
        if whole and result is not None:
            tests = self._group_tests(result, own, atlas)
        with staged(folder, self.options) as partial:
            for kind, test in tests.items():
                write_group(partial, name, kind, test)
            if responses is not None:
                write_responses(partial, name, args.group_by, *responses)
            if result is not None:
                write_scores(partial, name, result.to_frame(), "EEG to BOLD, by region")
                write_map(partial, name, pairs[0], result)
                for pair, frames in zip(pairs, _on_runs(result, pairs), strict=True):
                    person = partial / f"sub-{pair.subject}" if whole else partial
                    write_prediction(person / "func", pair, frames, names)
            if len(back):
                write_scores(partial, f"{name}_dir-back", back, "BOLD to log band power")
            fitted.save(partial / f"{name}_desc-samba_model.samba")
            if not args.no_report:
                write_report(
                    partial / f"{name}_desc-samba_report.html", f"{name}: EEG and BOLD", pairs,
                    result, fitted, back, tests, atlas, responses,
                )  # fmt: skip
        shutil.rmtree(cache, ignore_errors=True)
        self.say(f"{head}: {_summary(result, back)}, {time.perf_counter() - start:.0f} s")
        if result is not None:
            self.say(f"  {result.verdict}")
        for kind, test in tests.items():
            self.say(f"  {kind}: {test.verdict}")
        if responses is not None:
            self.say(f"  {responses[1]}")
        if not args.no_report:
            self.say(f"  report: {folder / f'{name}_desc-samba_report.html'}")

    def _backward(self, model, X, y, groups, splitter) -> pd.DataFrame:
        """Score BOLD to log band power, channel by channel and band by band."""
        if splitter is None:
            splitter = BlockedTimeSplit(5) if groups is None else GroupKFold(len(set(groups)))
        rows = []
        for fold, (train, test) in enumerate(splitter.split(X, y, groups)):
            fitted = clone(model).fit(take(y, train), take(X, train))
            scores = fitted.score_targets(take(y, test), take(X, test))
            for channel, by_band in zip(fitted.ch_names_in_, scores, strict=True):
                rows += [
                    {"fold": fold, "channel": channel, "band": band, "score": float(score)}
                    for band, score in zip(fitted.bands_, by_band, strict=True)
                ]
        return pd.DataFrame(rows)


def _on_runs(result, pairs: list) -> list[np.ndarray]:
    """Out-of-fold predictions at the frames of BOLD, NaN where there is none."""
    names = result.target_names_
    out = [np.full((len(pair.bold), len(names)), np.nan) for pair in pairs]
    runs = result.recordings_[["recording", "first_frame"]].astype(int)
    predictions = result.predictions_[result.translator]
    for (run, first), predicted in zip(runs.itertuples(index=False), predictions, strict=True):
        # Runs without a window are missing; windows begin after the context of the first one.
        whole = out[run]
        predicted = predicted[: len(whole) - first]
        whole[first : first + len(predicted)] = predicted
    return out


def _summary(result, back: pd.DataFrame) -> str:
    said = []
    if result is not None:
        table = result.summary()
        ridge = table.loc[["ridge_canonical", "ridge_fir"], "mean"].max()
        said.append(
            f"Spearman {table.loc[result.translator, 'mean']:.3f} (best ridge regression "
            f"{ridge:.3f})"
        )
    if len(back):
        said.append(f"way back {back['score'].mean():.3f}")
    return ", ".join(said)
