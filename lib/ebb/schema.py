"""Every table's columns, declared once: what each row is, and which job writes it.

Reading and writing is `tables.py`. Nothing here touches a session.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import types as T


@dataclass(frozen=True)
class Table:
    """One Delta table.

    Attributes
    ----------
    grain : what makes a row unique.
    written_by : the job that writes it.
    sliced : True where a night rewrites its own as_of slice whole (the table is partitioned
        by as_of).
    partition_by : the column that the files lie by, where that isn't as_of.
    grows_columns : True where the configuration adds columns (one a measure).
    skipped_by : the columns whose least and greatest values Delta notes of each file, where not
        all are: those that readers skip files by.
    """

    name: str
    comment: str
    grain: tuple[str, ...]
    written_by: str
    schema: T.StructType
    sliced: bool = False
    partition_by: str | None = None
    grows_columns: bool = False
    skipped_by: tuple[str, ...] | None = None

    @property
    def lies_by(self) -> str | None:
        """The column that the table is partitioned by."""
        return "as_of" if self.sliced else self.partition_by


_STRING, _LONG, _INT, _DOUBLE = T.StringType(), T.LongType(), T.IntegerType(), T.DoubleType()
_TS, _BOOL = T.TimestampType(), T.BooleanType()
_STRINGS, _TEXTS = T.ArrayType(_STRING), T.MapType(_STRING, _STRING)
_COUNTS, _NUMBERS = T.MapType(_STRING, _LONG), T.MapType(_STRING, _DOUBLE)


def _columns(
    *fields: tuple[str, T.DataType, str] | tuple[str, T.DataType, str, str],
) -> T.StructType:
    """(name, type, comment) is required; a fourth entry "null" lets it be empty."""
    return T.StructType(
        [
            T.StructField(f[0], f[1], nullable=len(f) == 4, metadata={"comment": f[2]})
            for f in fields
        ]
    )


_AS_OF = ("as_of", _TS, "everything strictly before this instant is known, nothing else is")
_USER = ("user_id", _STRING, "the user, as the source writes it")
_ITEM = ("item_id", _STRING, "the item, as the source writes it")
_NAMED = ("item_id", _STRING, "the item; ~text:HASH, behind an item or alone, is an event's text")

EVENTS = Table(
    "events",
    "What users did: one row an action, each exactly once.",
    ("event_id",),
    "ingest",
    _columns(
        ("event_id", _STRING, "the source's own id, or a hash of the fields and their occurrence"),
        _USER,
        ("item_id", _STRING, "the item; empty for event types declared itemless", "null"),
        ("event_type", _STRING, "one of events.types"),
        ("event_ts", _TS, "when it happened, UTC"),
        ("value", _DOUBLE, "the source's value, e.g. a quantity or a rating", "null"),
        ("weight", _DOUBLE, "a * v: the type's weight times the transformed value, undecayed"),
        ("text", _STRING, "free text of the event: a search, a tag, a comment", "null"),
        ("order_id", _STRING, "the order that a cancellation must match, where mapped", "null"),
        ("context", _TEXTS, "device, place, weather, ...", "null"),
        ("source", _STRING, "the source's path in the configuration"),
        ("batch_id", _STRING, "the ingest that brought it"),
        ("batch", _LONG, "number of that ingest: later ones have larger numbers"),
        ("user_bucket", _INT, "crc32(user_id) modulo 256: users that lie together in the files"),
        ("ingested_at", _TS, "when ebb took it in"),
    ),
    skipped_by=("event_ts", "user_bucket", "batch"),
)
QUARANTINE = Table(
    "events_quarantine",
    "Rows that could not be taken in, each with every reason.",
    ("file_id", "raw", "reasons"),
    "ingest",
    _columns(
        ("source", _STRING, "the source's path in the configuration"),
        ("raw", _STRING, "the row as it was read"),
        ("reasons", _STRINGS, "every reason why it was refused"),
        ("user_id", _STRING, "the user, where it could be read", "null"),
        ("file", _STRING, "the file it came from"),
        ("file_id", _STRING, "hash of that file's path, size and modification time"),
        ("batch_id", _STRING, "the ingest that met it"),
        ("ingested_at", _TS, "when ebb met it"),
    ),
)
FILES = Table(
    "ingested_files",
    "The ledger of files taken in: one row a file as it was (path, size, modification time).",
    ("file_id",),
    "ingest",
    _columns(
        ("file_id", _STRING, "hash of path, size and modification time"),
        ("source", _STRING, "the source's path in the configuration"),
        ("kind", _STRING, "events, items or users"),
        ("path", _STRING, "the file"),
        ("length", _LONG, "bytes"),
        ("modified_at", _TS, "its modification time"),
        ("mapping", _STRING, "hash of the configuration that read it"),
        ("batch_id", _STRING, "the ingest that took it in"),
        ("ingested_at", _TS, "when"),
    ),
)
ITEMS = Table(
    "items",
    "The catalogue in versions: a version holds from valid_from until valid_to.",
    ("item_id", "valid_from"),
    "ingest",
    _columns(
        _ITEM,
        ("valid_from", _TS, "first instant at which this version was true"),
        ("valid_to", _TS, "first instant at which it no longer was; empty while it holds", "null"),
        ("title", _STRING, "what people call it", "null"),
        ("text", _STRING, "a longer description", "null"),
        ("categories", _STRINGS, "categories, ancestors included", "null"),
        ("tags", _STRINGS, "tags", "null"),
        ("attributes", _TEXTS, "any other attribute", "null"),
        ("published_at", _TS, "when the item came into being", "null"),
        ("available", _BOOL, "may be recommended"),
        ("assumed_static", _BOOL, "the source keeps no history: taken to have been so always"),
    ),
)
USERS = Table(
    "users",
    "Everybody known: from events and from the optional table of users.",
    ("user_id",),
    "ingest",
    _columns(
        _USER,
        ("first_seen", _TS, "joining or first event; empty: known always", "null"),
        ("attributes", _TEXTS, "from the table of users", "null"),
    ),
)
INTEREST_STATE = Table(
    "interest_state",
    "Stored sums of what each user did with each item, true at as_of; one more column a sum. "
    "Read interests through interests_at, which adds what happened since.",
    ("user_id", "item_id"),
    "interests",
    _columns(
        ("slot", _INT, "users that are brought up to date together: user_bucket * slots / 256"),
        ("as_of", _TS, "the instant at which the row is true"),
        _USER,
        _NAMED,
        ("n", _LONG, "events that count (not cancelled)"),
        ("last_ts", _TS, "the latest of them"),
    ),
    partition_by="slot",
    grows_columns=True,
    skipped_by=("user_id",),
)
INTERESTS_NOW = Table(
    "interests_now",
    "What everybody cares for, decayed, at one as_of; one more column a configured measure.",
    ("user_id", "facet", "key"),
    "interests",
    _columns(
        _AS_OF,
        _USER,
        ("facet", _STRING, "item, category, tag, topic or an item attribute"),
        ("key", _STRING, "one value of the facet"),
        ("n", _LONG, "events that count (not cancelled)"),
        ("last_ts", _TS, "the latest of them"),
        (
            "share",
            _DOUBLE,
            "part of the facet, by interests.rank_by; empty if nothing's left",
            "null",
        ),
        ("rank", _INT, "1 is the strongest key of the facet, by interests.rank_by"),
        ("drift", _DOUBLE, "short-term share minus long-term share, by interests.drift", "null"),
        ("trend", _STRING, "rising, fading or steady, by interests.drift.threshold", "null"),
    ),
    grows_columns=True,
)
USER_FEATURES = Table(
    "user_features",
    "What each user with an event is like as of as_of: activity, regularity, breadth, change.",
    ("as_of", "user_id"),
    "interests",
    _columns(
        _AS_OF,
        _USER,
        ("n", _LONG, "events that count (not cancelled)"),
        ("first_ts", _TS, "the first of them"),
        ("last_ts", _TS, "the latest of them"),
        ("recency_days", _DOUBLE, "age of the latest, days"),
        ("tenure_days", _DOUBLE, "age of the first, days"),
        ("active_days", _LONG, "distinct UTC days with an event"),
        ("events_in", _COUNTS, "window of features.activity to the events in it"),
        ("by_type", _COUNTS, "event type to its events"),
        ("sessions", _LONG, "runs of events without a gap above features.session_gap"),
        ("events_per_session", _DOUBLE, "n / sessions"),
        ("mean_gap_hours", _DOUBLE, "mean time between events; empty with one event", "null"),
        ("median_gap_hours", _DOUBLE, "median of the same", "null"),
        ("gap_deviation_hours", _DOUBLE, "standard deviation of the same", "null"),
        (
            "repeat_share",
            _DOUBLE,
            "part of the events with an item whose item the user had met before",
            "null",
        ),
        ("entropy", _NUMBERS, "facet to the Shannon entropy of its plain shares, bits"),
        ("keys", _COUNTS, "facet to its keys with a plain share above 0"),
        (
            "divergence",
            _NUMBERS,
            "facet to the Jensen-Shannon distance of long- and short-term shares, 0 to 1; empty "
            "without interests.drift",
            "null",
        ),
    ),
    sliced=True,
)
ITEM_FEATURES = Table(
    "item_features",
    "What each item is like as of as_of: popularity, velocity, age, audience.",
    ("as_of", "item_id"),
    "interests",
    _columns(
        _AS_OF,
        _ITEM,
        ("n", _LONG, "events that count (not cancelled)"),
        ("users", _LONG, "distinct users among them"),
        ("first_ts", _TS, "the first of them", "null"),
        ("last_ts", _TS, "the latest of them", "null"),
        ("recency_days", _DOUBLE, "age of the latest, days", "null"),
        ("age_days", _DOUBLE, "age of published_at, else of the first event, days", "null"),
        ("popularity", _DOUBLE, "decayed sum of weights, by features.popularity_half_life"),
        (
            "velocity",
            _DOUBLE,
            "short-term over long-term rate of weight, by features.velocity; 1 is steady",
            "null",
        ),
        (
            "audience_entropy",
            _DOUBLE,
            "Shannon entropy of the users' parts in popularity, bits",
            "null",
        ),
        ("audience", _DOUBLE, "effective users, 2^audience_entropy", "null"),
        (
            "repeat_share",
            _DOUBLE,
            "part of the events by users who had met the item before",
            "null",
        ),
    ),
    sliced=True,
)
FORETELLERS = Table(
    "foretellers",
    "The networks that foretell interests: how each did against the decayed past on periods held "
    "out, and whether it serves.",
    ("as_of",),
    "nightly",
    _columns(
        _AS_OF,
        ("facet", _STRING, "of the keys"),
        ("version", _STRING, "hash of the model"),
        ("serves", _BOOL, "it was ahead by more than noise, so the night foretells by it"),
        ("reason", _STRING, "why, in a sentence"),
        ("period_days", _DOUBLE, "how far ahead"),
        ("rows", _LONG, "users, instants and keys that it was at last fitted on"),
        ("loss", _DOUBLE, "its mean loss on the periods held out"),
        ("loss_decayed", _DOUBLE, "that of the decayed past"),
        ("ahead", _DOUBLE, "how far it is ahead, over periods that may differ"),
        ("ahead_low", _DOUBLE, "its 90 % interval, over users and periods"),
        ("ahead_high", _DOUBLE, "the same"),
        ("users", _LONG, "users judged, each once a period"),
        ("half_life_days", _DOUBLE, "of the decayed past; empty where it never fades", "null"),
        ("parameters", _TEXTS, "its configuration"),
        ("model", T.BinaryType(), "network and decayed baseline, as torch stores them"),
        ("lineage", T.MapType(_STRING, _LONG), "Delta versions that it was fitted from"),
    ),
    sliced=True,
)
NEXT_INTERESTS = Table(
    "next_interests",
    "What each user's interest in keys met before is foretold to be in the period from as_of on.",
    ("as_of", "user_id", "facet", "key"),
    "nightly",
    _columns(
        _AS_OF,
        _USER,
        ("facet", _STRING, "of the key"),
        ("key", _STRING, "an item, a category, ..."),
        ("rank", _INT, "of the key among the user's, by foretold, ties by key"),
        (
            "foretold",
            _DOUBLE,
            "with foretell.loss bce the probability that the user meets the key; with softmax its "
            "share of the user's interest; with mse log(1 + weight of what they do on it): the "
            "network's where that serves, else the decayed past's",
        ),
        ("network", _DOUBLE, "what the network foretells"),
        ("decayed", _DOUBLE, "what the decayed past does"),
    ),
    sliced=True,
)
CHOICES = Table(
    "choices",
    "Which strategies were tried on label windows before as_of, how they did, which was chosen.",
    ("as_of", "strategy"),
    "train",
    _columns(
        _AS_OF,
        ("strategy", _STRING, "blend, ranker, or one source: with decay, or _flat without"),
        ("is_chosen", _BOOL, "slates are ranked by it until the next choice"),
        ("ndcg", _DOUBLE, "mean NDCG at recommend.n; empty where it wasn't tried", "null"),
        ("users", _LONG, "users of the windows that it was judged on"),
        ("weights", _NUMBERS, "feature to its weight"),
    ),
    sliced=True,
)
TRAINING_SETS = Table(
    "training_sets",
    "What the ranker learned from: candidates of some users at the beginnings of label windows, "
    "and which of them they took in the window.",
    ("as_of", "label_from", "user_id", "item_id"),
    "train",
    _columns(
        _AS_OF,
        ("label_from", _TS, "beginning of the label window: features are from strictly before it"),
        ("label_until", _TS, "its end, not included"),
        _USER,
        _ITEM,
        ("group_id", _LONG, "names the user's candidates of the window, ranked with each other"),
        ("is_label", _BOOL, "the user took it in the window"),
        ("is_shown", _BOOL, "the user was shown it there, as far as impressions tell"),
        ("labels", _INT, "items that the user took in the window, candidates or not"),
        ("weight", _DOUBLE, "candidates that the row stands for: 1, more where some are left out"),
        ("features", T.ArrayType(T.FloatType()), "in the order of the commit's facts"),
    ),
    sliced=True,
)
RANKERS = Table(
    "rankers",
    "The registry of rankers: each that was fitted, how it did against the best other strategy on "
    "windows held out, and whether it was promoted.",
    ("as_of",),
    "train",
    _columns(
        _AS_OF,
        ("version", _STRING, "hash of the booster"),
        ("promoted", _BOOL, "it was clearly ahead, so slates were ranked by it from then on"),
        ("reason", _STRING, "why, in a sentence"),
        ("ndcg", _DOUBLE, "mean NDCG at recommend.n on the windows held out"),
        ("ndcg_other", _DOUBLE, "that of the best other strategy"),
        ("other", _STRING, "which one that is"),
        ("ahead", _DOUBLE, "how far it is ahead of the other, over windows that may differ"),
        ("ahead_low", _DOUBLE, "its 90 % interval, over users and windows"),
        ("ahead_high", _DOUBLE, "the same"),
        ("users", _LONG, "users judged, each once a window"),
        ("windows", _INT, "label windows that it was at last fitted on"),
        ("trees", _INT, "trees"),
        ("weights", _NUMBERS, "of the blend below the trees: feature to its weight"),
        ("importance", _NUMBERS, "feature to its share of what all splits gained"),
        ("booster", T.BinaryType(), "the trees, as xgboost stores them (UBJSON)"),
        ("lineage", T.MapType(_STRING, _LONG), "Delta versions that it was fitted from"),
    ),
    sliced=True,
)
HALF_LIVES = Table(
    "half_lives",
    "How fast each user forgets: after so many days what they did counts half for coming back.",
    ("as_of", "user_id", "facet"),
    "forgetting",
    _columns(
        _AS_OF,
        _USER,
        ("facet", _STRING, "item, category or tag"),
        ("half_life_days", _DOUBLE, "e to the posterior mean of log h"),
        ("deviation", _DOUBLE, "posterior standard deviation of log h"),
        ("returns", _LONG, "returns to a key that it was learned from"),
        (
            "source",
            _STRING,
            "own: mostly the user's own returns; else mostly the prior: regression on what the "
            "user's past is like, segment of activity, or global",
        ),
    ),
    sliced=True,
)
FORGETTING_CURVES = Table(
    "forgetting_curves",
    "The learned curve of each facet and event type: a mixture of exponentials, a row a part.",
    ("as_of", "facet", "event_type", "half_life_days"),
    "forgetting",
    _columns(
        _AS_OF,
        ("facet", _STRING, "item, category or tag"),
        ("event_type", _STRING, "one of events.types"),
        ("half_life_days", _DOUBLE, "of the part"),
        ("weight", _DOUBLE, "of the part; those of an event type add up to 1"),
        (
            "strength",
            _DOUBLE,
            "what a fresh event of the type says for coming back, over the strongest type's; 0: "
            "nothing, and the curve is the tuned half-life's",
        ),
    ),
    sliced=True,
)
FORGETTING_FITS = Table(
    "forgetting_fits",
    "How models of forgetting foresaw the returns of the last horizon before as_of.",
    ("as_of", "facet", "model"),
    "forgetting",
    _columns(
        _AS_OF,
        ("facet", _STRING, "item, category or tag"),
        ("model", _STRING, "adaptive, point, global, constant or waiting"),
        ("loglik_per_return", _DOUBLE, "held-out log-likelihood a return, nats", "null"),
        ("ahead", _DOUBLE, "how far that is ahead of global's", "null"),
        ("low", _DOUBLE, "its 95 % interval, by a paired bootstrap over users", "null"),
        ("high", _DOUBLE, "the same", "null"),
        ("returns", _LONG, "returns that were foreseen"),
        ("expected", _DOUBLE, "returns that the model expected", "null"),
        (
            "half_life_days",
            _DOUBLE,
            "of global: the one half-life that is best for all at as_of; empty else",
            "null",
        ),
    ),
    sliced=True,
)
TRIALS = Table(
    "trials",
    "Settings that a search tried, and how slates made by them would have done.",
    ("study", "number"),
    "search",
    _columns(
        _AS_OF,
        ("study", _STRING, "hash of what is searched, how, and on what: trials of one go together"),
        ("number", _INT, "of the trial in its study, from 1; 0 is the present configuration"),
        ("parameters", _TEXTS, "configuration key to the value tried, as JSON"),
        ("value", _DOUBLE, "mean NDCG at recommend.n over the nights; empty if refused", "null"),
        ("by_night", _NUMBERS, "as_of of each night to the mean over its users"),
        ("state", _STRING, "done, or refused: ebb can't go by these settings"),
        ("message", _STRING, "why it was refused", "null"),
        ("seconds", _DOUBLE, "how long it took"),
        (
            "config",
            _STRING,
            "hash of the settings that slates hang on; no text where there are none",
        ),
        ("versions", T.MapType(_STRING, _LONG), "Delta versions read"),
    ),
)
ITEM_WEIGHTS = Table(
    "item_weights",
    "Item-to-item models: how much having an item says for another.",
    ("as_of", "model", "item_id", "neighbour_id"),
    "train",
    _columns(
        _AS_OF,
        ("model", _STRING, "neighbours (shrunk cosine) or ease, decayed; _flat without decay"),
        ("item_id", _STRING, "the item that somebody has"),
        ("neighbour_id", _STRING, "the item that it speaks for"),
        ("rank", _INT, "1 is the largest weight, by size"),
        ("weight", _DOUBLE, "below 0 where it speaks against"),
    ),
    sliced=True,
)
ITEM_FACTORS = Table(
    "item_factors",
    "Item vectors of the models fitted as of as_of: implicit ALS, the projection of texts, and the "
    "network.",
    ("as_of", "model", "item_id"),
    "train",
    _columns(
        _AS_OF,
        ("model", _STRING, "als, decayed, als_flat, projected, or sequence"),
        _ITEM,
        ("factors", T.ArrayType(T.FloatType()), "the item's vector"),
    ),
    sliced=True,
)
USER_VECTORS = Table(
    "user_vectors",
    "What the network makes of each user; times an item's vector in item_factors, the log of what "
    "taste gives the item.",
    ("as_of", "user_id", "model"),
    "recommend",
    _columns(
        _AS_OF,
        _USER,
        ("model", _STRING, "sequence"),
        ("factors", T.ArrayType(T.FloatType()), "the user's vector, as long as the items' are"),
    ),
    sliced=True,
)
SEQUENCE_MODELS = Table(
    "sequence_models",
    "The networks over sequences: what each learned, and how its training went.",
    ("as_of",),
    "train",
    _columns(
        _AS_OF,
        ("version", _STRING, "hash of the network"),
        ("kind", _STRING, "transformer, gru, lstm or bilstm"),
        ("parameters", _TEXTS, "its configuration"),
        (
            "metrics",
            _NUMBERS,
            "items, epochs, the epoch that did best and its losses, rows read by each process",
        ),
        ("network", T.BinaryType(), "the network with its vocabulary, as torch stores them"),
        ("lineage", T.MapType(_STRING, _LONG), "Delta versions that it was trained from"),
    ),
    sliced=True,
)
MODELS = Table(
    "models",
    "The registry: one row a fitted model, with what made it.",
    ("as_of", "name"),
    "train",
    _columns(
        _AS_OF,
        ("name", _STRING, "neighbours, ease or als, decayed; _flat without decay; sequence"),
        ("version", _STRING, "hash of as_of, configuration and input versions"),
        ("kind", _STRING, "what sort of model"),
        ("parameters", _TEXTS, "its configuration"),
        ("metrics", T.MapType(_STRING, _DOUBLE), "sizes and losses of the fit"),
        ("artefact", _STRING, "table that holds what was fitted"),
        ("lineage", T.MapType(_STRING, _LONG), "Delta version of each input"),
    ),
    sliced=True,
)
TEXT_ENCODERS = Table(
    "text_encoders",
    "The registry of text encoders: each that was fitted, and what it learned.",
    ("as_of",),
    "nightly",
    _columns(
        _AS_OF,
        ("version", _STRING, "names the vectors that it makes: hash of what it learned"),
        ("kind", _STRING, "what sort of encoder"),
        ("parameters", _TEXTS, "its configuration"),
        ("texts", _LONG, "items' texts that it was fitted on"),
        ("model", T.BinaryType(), "what it learned"),
        ("lineage", T.MapType(_STRING, _LONG), "Delta versions that it was fitted from"),
    ),
    sliced=True,
)
ITEM_VECTORS = Table(
    "item_vectors",
    "What items' texts say: a vector of each text that an item had, made once by each encoder.",
    ("version", "item_id", "text_hash"),
    "nightly",
    _columns(
        ("version", _STRING, "of the encoder, in text_encoders"),
        _NAMED,
        ("text_hash", _STRING, "SHA-256 of the text, or of what was given; 32 hex digits"),
        ("vector", T.ArrayType(T.FloatType()), "of length 1; zeros where nothing is known of it"),
        ("as_of", _TS, "of the night that made it"),
        ("valid_from", _TS, "since when a given vector holds; empty for those of texts", "null"),
    ),
    partition_by="version",
)
LABELLERS = Table(
    "labellers",
    "The registry of what gives items' texts tags and topics: each that was fitted, and what it "
    "learned.",
    ("as_of", "facet"),
    "nightly",
    _columns(
        _AS_OF,
        ("facet", _STRING, "tag or topic"),
        ("version", _STRING, "names the labels that it makes"),
        ("kind", _STRING, "terms, zero_shot, chat or topics"),
        ("parameters", _TEXTS, "its configuration"),
        ("texts", _LONG, "items' texts that it was fitted on"),
        ("model", T.BinaryType(), "what it learned"),
        ("lineage", T.MapType(_STRING, _LONG), "Delta versions that it was fitted from"),
    ),
    sliced=True,
)
ITEM_TAGS = Table(
    "item_tags",
    "What items' texts are about: the tags, or the topic, of each text that an item had, given "
    "once by each version of what gives them.",
    ("version", "item_id", "text_hash"),
    "nightly",
    _columns(
        ("version", _STRING, "of what gave them, in labellers"),
        ("facet", _STRING, "tag or topic"),
        _NAMED,
        ("text_hash", _STRING, "SHA-256 of the text, 32 hex digits"),
        ("tags", _STRINGS, "the most telling first; one topic at most; empty where none fits"),
        ("dropped", _INT, "parts of a chat's answer that were no tags allowed"),
        ("outcome", _STRING, "given; of a chat refused or unreadable, too: nothing to be had"),
        ("as_of", _TS, "of the night that gave them"),
    ),
    partition_by="version",
)
TOPICS = Table(
    "topics",
    "Clusters of the vectors of items' texts.",
    ("as_of", "topic"),
    "nightly",
    _columns(
        _AS_OF,
        ("version", _STRING, "of the topics, in labellers"),
        ("topic", _INT, "number, 0 the one with most items"),
        ("label", _STRING, "the terms that tell it from others, or a chat's name; all different"),
        ("items", _LONG, "items known at as_of that were nearest to it"),
        ("centre", T.ArrayType(T.FloatType()), "of length 1"),
    ),
    sliced=True,
)
_KEYS = T.ArrayType(T.StructType([T.StructField("facet", _STRING), T.StructField("key", _STRING)]))
PORTRAITS = Table(
    "portraits",
    "What a chat endpoint calls the interests of people, of each night that it was asked about "
    "them. Read through portraits_at, which says what is left of each tag.",
    ("as_of", "user_id"),
    "nightly",
    _columns(
        _AS_OF,
        ("version", _STRING, "of what was asked: the endpoint, the model, the list"),
        _USER,
        ("keys", _KEYS, "facet and key of the interests that it was told, the strongest first"),
        (
            "tags",
            T.ArrayType(
                T.StructType([T.StructField("tag", _STRING), T.StructField("keys", _KEYS)])
            ),
            "the most telling first, each with the keys that it sums up",
        ),
        ("dropped", _INT, "parts of the answer that were no tags allowed"),
        ("outcome", _STRING, "given, refused or unreadable"),
    ),
    sliced=True,
)
REASON = T.StructType(
    [
        T.StructField("source", _STRING),
        T.StructField("item_id", _STRING),
        T.StructField("facet", _STRING),
        T.StructField("key", _STRING),
        T.StructField("share", _DOUBLE),
        T.StructField("last_ts", _TS),
        T.StructField("contribution", _DOUBLE),
        T.StructField("sentence", _STRING),
    ]
)
RECOMMENDATIONS = Table(
    "recommendations",
    "The slates: each user's top N as of as_of, with the reasons.",
    ("as_of", "user_id", "rank"),
    "recommend",
    _columns(
        _AS_OF,
        _USER,
        ("rank", _INT, "1 comes first"),
        _ITEM,
        ("score", _DOUBLE, "its part among the user's candidates, adding up to 1; 6 digits"),
        (
            "source",
            _STRING,
            "what speaks most for it: history, neighbours, ease, als, sequence, affinity, "
            "content, popularity, rising or new",
        ),
        (
            "reasons",
            T.ArrayType(REASON),
            "what led here, the main source's first",
        ),
        (
            "propensity",
            _DOUBLE,
            "probability of this item at this place, given those above; 1 where nothing was drawn",
        ),
        ("pool", _INT, "items that the place was drawn from; empty where nothing was", "null"),
        ("pool_rank", _INT, "the item's rank among them by score, 1 the best; empty too", "null"),
        ("model_version", _STRING, "version of the models used"),
        ("arm", _STRING, "of the experiment; empty without one", "null"),
    ),
    sliced=True,
)
HOT_LIST = Table(
    "hot_list",
    "Popular items: scope all, category:NAME, and default (the slate of somebody unknown).",
    ("as_of", "scope", "rank"),
    "recommend",
    _columns(
        _AS_OF,
        ("scope", _STRING, "all, category:NAME, or default"),
        ("rank", _INT, "1 is the hottest"),
        _ITEM,
        ("score", _DOUBLE, "decayed sum of weights, rounded to 6 significant digits"),
        ("n", _LONG, "events that count"),
    ),
    sliced=True,
)
EVALUATIONS = Table(
    "evaluations",
    "How slates of as_of did against what users then did: those published, and those that every "
    "strategy would have given.",
    ("as_of", "of", "model", "metric", "slice"),
    "evaluate",
    _columns(
        _AS_OF,
        (
            "of",
            _STRING,
            "published: recommendations; experiment: its arms; trials: the places that tried "
            "things out; study: by the job evaluate",
        ),
        (
            "model",
            _STRING,
            "ebb; beside it popularity, or of taken_of_shown all that was shown; an experiment's "
            "arm; of trials a policy: logged, best or uniform; of a study auto and each strategy",
        ),
        ("metric", _STRING, "e.g. ndcg@10, see docs/evaluation.md"),
        ("slice", _STRING, "which users: all, or of a study activity: few, category: jazz, ..."),
        ("value", _DOUBLE, "mean over users; coverage: share of eligible items"),
        ("low", _DOUBLE, "of trials: its 95 % interval, by a bootstrap over users", "null"),
        ("high", _DOUBLE, "the same", "null"),
        ("users", _LONG, "users with at least one label and a figure; of trials: all shown one"),
        (
            "ahead",
            _DOUBLE,
            "of a study: auto's value less this one's; of an experiment: this arm's less the first",
            "null",
        ),
        (
            "ahead_low",
            _DOUBLE,
            "its 95 % interval: by a paired bootstrap over users, Welch's between arms",
            "null",
        ),
        ("ahead_high", _DOUBLE, "the same", "null"),
        ("label_until", _TS, "end of the label window that was seen"),
    ),
    sliced=True,
)
DRIFT = Table(
    "drift",
    "What moved between an earlier as_of and this one: inputs by their stability index, and the "
    "metric of the slates by the nights before.",
    ("as_of", "of", "name"),
    "nightly",
    _columns(
        _AS_OF,
        ("of", _STRING, "events, user_features, item_features or metric"),
        ("name", _STRING, "the input, e.g. category or recency_days; the metric, e.g. ndcg@10"),
        ("reference_as_of", _TS, "what inputs are held against: the latest choice before"),
        ("psi", _DOUBLE, "population stability index of an input, 6 digits", "null"),
        ("value", _DOUBLE, "of a metric the latest figure", "null"),
        ("usual", _DOUBLE, "of a metric the median of the nights before", "null"),
        ("rows", _LONG, "values of an input now; nights that a metric is held against"),
        ("level", _STRING, "steady, moved or drifted; a metric that dropped is drifted"),
    ),
    sliced=True,
)
RUNS = Table(
    "runs",
    "A log of steps run. It decides nothing.",
    ("run_id", "step"),
    "every job",
    _columns(
        ("run_id", _STRING, "one call of a job"),
        ("job", _STRING, "the job called"),
        ("step", _STRING, "the step of it"),
        ("as_of", _TS, "the as_of it ran for"),
        ("status", _STRING, "done or failed"),
        ("started_at", _TS, "when"),
        ("seconds", _DOUBLE, "how long"),
        ("rows", T.MapType(_STRING, _LONG), "rows in and out, by name"),
        ("config", _STRING, "hash of the configuration that counts for the step"),
        ("versions", T.MapType(_STRING, _LONG), "Delta versions read and written"),
        ("message", _STRING, "why it ran or what failed", "null"),
    ),
)
ALL = (
    EVENTS, QUARANTINE, FILES, ITEMS, USERS, INTEREST_STATE, INTERESTS_NOW,
    USER_FEATURES, ITEM_FEATURES, HALF_LIVES, FORGETTING_CURVES, FORGETTING_FITS,
    FORETELLERS, NEXT_INTERESTS, CHOICES, TRAINING_SETS, RANKERS, TRIALS,
    TEXT_ENCODERS, ITEM_VECTORS, LABELLERS, ITEM_TAGS, TOPICS, PORTRAITS, ITEM_WEIGHTS,
    ITEM_FACTORS, USER_VECTORS, SEQUENCE_MODELS, MODELS, RECOMMENDATIONS, HOT_LIST,
    EVALUATIONS, DRIFT, RUNS,
)  # fmt: skip
