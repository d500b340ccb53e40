"""The words of the demo world: categories, and the words that titles and searches are made of.

Data and lookups only; nothing here is random.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """One leaf of the category tree.

    Attributes
    ----------
    path : as the landing files write it, e.g. "Music > Jazz".
    openers, cores, closers : a title is one of each, in this order.
    tags : words that items of the category are tagged with.
    brands : who makes such items.
    """

    path: str
    openers: tuple[str, ...]
    cores: tuple[str, ...]
    closers: tuple[str, ...]
    tags: tuple[str, ...]
    brands: tuple[str, ...]

    @property
    def leaf(self) -> str:
        return self.path.rsplit(" > ", 1)[-1]

    @property
    def words(self) -> tuple[str, ...]:
        """Every word that a title or a search of the category may use."""
        return self.openers + self.cores + self.closers


_BRANDS = {
    "Music": "Harbour Records|Low Light|Parlophonic|Northern Tape",
    "Outdoor": "Fjellrev|Stonepath|Trailhead & Sons|Öland",
    "Kitchen": "Maison Lune|Copper & Salt|Hearthside|Nonna Pia",
    "Books": "Paper Lantern|Quill House|Riverside Press|Éditions du Quai",
    "Home": "Oak & Linen|Studio Nord|Lumen|Plainweave",
}
# parent > leaf: openers / cores / closers / tags. The first of each parent come first, so that
# a world of few categories still has several parents.
_LEAVES = {
    "Music > Jazz": "Blue Note|Midnight|Smoky|Velvet|Uptown|Swinging/Evening|Quartet|Saxophone|"
    "Trumpet|Bebop|Ballad/Sessions|Standards|Live|Improvisations|Nights|Suite/"
    "bebop|swing|live|vinyl|vocal|fusion",
    "Outdoor > Hiking": "Alpine|Ridge|Summit|Lightweight|Waterproof|Forest/Trail|Boot|Trekking|"
    "Backpack|Compass|Hiking/Companion|Kit|Poles|Jacket|Guide|Socks/"
    "mountain|trail|waterproof|light|winter|family",
    "Kitchen > Baking": "Sourdough|Rustic|Golden|Vanilla|Country|Cinnamon/Loaf|Pastry|Cake|Dough|"
    "Brioche|Flour/Tin|Starter|Mixer|Board|Whisk|Set/"
    "bread|cake|sweet|beginner|gluten-free|gift",
    "Books > Crime": "Cold|Silent|Missing|Crooked|Last|Buried/Case|Witness|Detective|Alibi|"
    "Harbour|Suspect/Files|Mystery|Verdict|Murders|Confession|Trail/"
    "noir|detective|series|thriller|nordic|classic",
    "Home > Lighting": "Warm|Brass|Paper|Dimmable|Nordic|Amber/Pendant|Desk|Floor|Lantern|Reading|"
    "Glow/Lamp|Light|Shade|Bulb|Sconce|Spot/"
    "brass|led|warm|desk|bedroom|design",
    "Music > Techno": "Warehouse|Analogue|Berlin|Deep|Acid|Modular/Pulse|Kick|Synth|Loop|Strobe|"
    "Bassline/Mix|Rave|Cuts|Machine|Transmission|Set/"
    "club|analogue|remix|minimal|dub|live",
    "Outdoor > Climbing": "Granite|Vertical|Dynamic|Boulder|Crag|Limestone/Rope|Harness|Chalk|"
    "Carabiner|Belay|Climbing/Rack|Bag|Shoes|Pad|Sling|Helmet/"
    "boulder|rope|indoor|alpine|safety|beginner",
    "Kitchen > Coffee": "Dark|Single Origin|Morning|Ethiopian|Slow|Barista/Espresso|Roast|"
    "Pour-Over|Bean|Crema|Filter/Grinder|Press|Blend|Kettle|Cup|Scale/"
    "espresso|filter|organic|decaf|single-origin|gift",
    "Books > Science Fiction": "Distant|Orbital|Quantum|Lost|Android|Interstellar/Colony|Star|"
    "Signal|Starship|Galaxy|Void/Chronicles|Odyssey|Protocol|Horizon|Exodus|Paradox/"
    "space|robots|series|dystopia|classic|epic",
    "Home > Gardening": "Cottage|Climbing|Wild|Heirloom|Evergreen|Potted/Rose|Herb|Seed|Tomato|"
    "Lavender|Fern/Planter|Bed|Trowel|Collection|Bulbs|Basket/"
    "herbs|flowers|balcony|organic|seeds|tools",
    "Music > Classical": "Grand|Baroque|Nocturnal|Royal|Early|Romantic/Piano|String|Cello|Choral|"
    "Symphony|Violin/Concerto|Sonatas|Preludes|Works|Variations|Requiem/"
    "piano|orchestra|baroque|opera|chamber|live",
    "Outdoor > Camping": "Starry|Four Season|Lakeside|Compact|Wilderness|Campfire/Tent|Sleeping|"
    "Stove|Hammock|Camp|Canvas/Bundle|Bag|Shelter|Mat|Lantern|Cookset/"
    "tent|family|festival|light|winter|cooking",
    "Kitchen > Knives": "Damascus|Forged|Japanese|Carbon|Sharp|Chef's/Santoku|Paring|Steel|Blade|"
    "Cleaver|Knife/Block|Roll|Sharpener|Trio|Stone|Sheath/"
    "steel|forged|gift|professional|japanese|set",
    "Books > Travel": "Wandering|Secret|Southern|Overland|Island|Slow/Railway|Coast|Desert|Atlas|"
    "Journey|Lisbon/Diaries|Guide|Maps|Notebook|Letters|Stories/"
    "europe|asia|islands|trains|guide|photos",
    "Home > Textiles": "Woven|Soft|Linen|Washed|Striped|Merino/Throw|Blanket|Cushion|Curtain|"
    "Bedding|Towel/Cover|Pair|Set|Rug|Edition|Wrap/"
    "linen|wool|cotton|bedroom|soft|sale",
}  # fmt: skip


def _leaf(path: str, text: str, series: int) -> Category:
    openers, cores, closers, tags = (tuple(part.split("|")) for part in text.split("/"))
    brands = tuple(_BRANDS[path.split(" > ")[0]].split("|"))
    name = path if series == 1 else f"{path} {series}"
    return Category(name, openers, cores, closers, tags, brands)


def categories(count: int) -> tuple[Category, ...]:
    """The first `count` categories; beyond the named ones they are numbered ("Music > Jazz 2")."""
    named = list(_LEAVES.items())
    return tuple(_leaf(*named[i % len(named)], i // len(named) + 1) for i in range(count))


def title(category: Category, ordinal: int) -> str:
    """Title of the `ordinal`-th item of a category: no two alike, repeated ones are volumes."""
    openers, cores, closers = category.openers, category.cores, category.closers
    combinations = len(openers) * len(cores) * len(closers)
    # 71 shares no factor with 6 · 6 · 6: it visits every combination once, far ones in turn.
    place = ordinal * 71 % combinations
    words = (
        openers[place % len(openers)],
        cores[place // len(openers) % len(cores)],
        closers[place // (len(openers) * len(cores))],
    )
    volume = ordinal // combinations + 1
    return " ".join(words) if volume == 1 else f"{' '.join(words)} Vol. {volume}"


def searches(category: Category) -> tuple[str, ...]:
    """What people type who look for something of the category."""
    singles = [word.lower() for word in category.words]
    pairs = [f"{a} {b}".lower() for a in category.openers for b in category.cores]
    triples = [f"{pair} {c}".lower() for pair, c in zip(pairs, category.closers * 6, strict=True)]
    return (*singles, *pairs, *triples)
