"""Names of people and companies, made from word lists; unique where the real thing would be."""

import re
import unicodedata

from cargo_source.sandbox.models.cells import pick, pick_at


def _plain(word: str) -> str:
    """Spell a word as domains and mail addresses do."""
    bare = unicodedata.normalize("NFKD", word.lower()).encode("ascii", "ignore").decode()
    return re.sub("[^a-z]+", "-", bare)


_FIRST = (
    "Amélie", "Björn", "Camille", "Daniel", "Elena", "Fatima", "Giulia", "Hiroshi", "Inès", "Jürgen", "Katya",
    "Liam", "Mei", "Noah", "Olivia", "Priya", "Quentin", "Rosa", "Søren", "Tomáš", "Uma", "Victor", "Wei", "Ximena",
    "Yusuf", "Zoë",
)  # fmt: skip
_LAST = (
    "Almeida", "Bauer", "Chen", "D'Angelo", "Eriksson", "Fischer", "García", "Hughes", "Ivanov", "Johnson",
    "Kowalski", "Lefèvre", "Müller", "Nguyen", "O'Brien", "Patel", "Rossi", "Šimić", "Tanaka", "van der Berg",
    "Williams", "Y\u0131lmaz", "Zhang",
)  # fmt: skip
FIRST = pick("first", *_FIRST)
LAST = pick("last", *_LAST)
TITLE = pick(
    "job", "CEO", "CFO", "VP Sales", "VP Marketing", "Head of Growth", "RevOps Manager", "Account Executive",
    "Data Engineer", "Customer Success Manager", "Founder & CEO", "Directrice commerciale",
)  # fmt: skip

_HEADS = (
    "Acorn", "Amber", "Apex", "Arbor", "Atlas", "Aurora", "Beacon", "Birch", "Blue", "Bolt", "Bright", "Cedar",
    "Cinder", "Clear", "Cobalt", "Copper", "Coral", "Crest", "Crystal", "Delta", "Drift", "Dune", "Echo", "Ember",
    "Fable", "Falcon", "Fern", "Flint", "Forge", "Frost", "Garnet", "Glacier", "Granite", "Grove", "Harbor", "Hazel",
    "Heron", "Indigo", "Iron", "Ivory", "Jade", "Juniper", "Kestrel", "Kite", "Lantern", "Lark", "Linden", "Lumen",
    "Maple", "Marble", "Meadow", "Nimbus", "North", "Oak", "Onyx", "Orbit", "Pine", "Quartz", "Raven", "Sierra",
    "Willow",
)  # fmt: skip
_TAILS = (
    "Analytics", "Apps", "Bank", "Bio", "Builders", "Capital", "Care", "Cloud", "Commerce", "Consulting", "Data",
    "Design", "Digital", "Dynamics", "Energy", "Farms", "Finance", "Foods", "Freight", "Games", "Health", "Homes",
    "Insurance", "Interactive", "Labs", "Learning", "Legal", "Logistics", "Media", "Medical", "Metals", "Mobile",
    "Motors", "Networks", "Optics", "Partners", "Payments", "Pharma", "Power", "Press", "Robotics", "Security",
    "Services", "Software", "Solar", "Sports", "Studios", "Supply", "Systems", "Travel", "Ventures", "Works",
    "Works Café",
)  # fmt: skip
_PAIRS = len(_HEADS) * len(_TAILS)
_REGIONS = (
    "", " Europe", " Nordics", " Iberia", " France", " Deutschland", " UK", " India", " Japan", " Brasil", " Canada",
    " East", " West", " South", " Pacific", " Global", " One", " Two", " Three", " Four", " Five", " Six", " Seven",
    " Eight", " Nine", " Ten", " Prime", " Plus", " Next", " Pro", " Group", " Holding",
)  # fmt: skip

_DOMAINS = (".com", ".io", ".co", ".eu", ".ai")


def _name(place: str, plain: bool) -> str:
    """Put together the name of the company with a number, or its plain spelling.

    61 heads and 53 tails are coprime, so walking both at once meets every pair before one comes again.
    """
    spell = _plain if plain else str
    spot = f"(({place}) * 19 + (md5_number_lower(s || ':names') % {_PAIRS})::BIGINT)"
    head = pick_at(f"{spot} % {len(_HEADS)}", *map(spell, _HEADS))
    tail = pick_at(f"{spot} % {len(_TAILS)}", *map(spell, _TAILS))
    region = pick_at(f"(({place}) // {_PAIRS}) % {len(_REGIONS)}", *map(spell, _REGIONS))
    return f"concat({head}, '{'-' if plain else ' '}', {tail}, {region})"


def company_name(place: str = "i") -> str:
    """The name of the company with a number."""
    return _name(place, plain=False)


def company_domain(place: str = "i") -> str:
    """The domain of the company with a number: its name in small plain letters, so it is unique as well."""
    turn = f"(({place}) // {_PAIRS * len(_REGIONS)})"
    again = f"CASE WHEN {turn} > 0 THEN '-' || {turn} ELSE '' END"
    return f"concat({_name(place, plain=True)}, {again}, {pick_at(f'({place}) % 5', *_DOMAINS)})"


def person_email(domain: str) -> str:
    """An email address that agrees with the row's first and last name."""
    first, last = pick("first", *map(_plain, _FIRST)), pick("last", *map(_plain, _LAST))
    return f"concat({first}, '.', {last}, '@', {domain})"
