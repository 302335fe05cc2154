"""Write the sample corpus: named entities whose type is often decided by the words that FOLLOW.

Real annotated news cannot be shipped with the project, and a random toy would not show why a tagger
reads a sentence in both directions. This script therefore draws sentences from a small grammar with
one built-in property: most names may have several types, and usually the words up to six places after
a name decide which; in a smaller part, the words before it decide. A tagger that only reads from left
to right must guess there; one that reads in both directions need not.

The notation of the grammar: `<x>` stands for one of the alternatives of rule x (or for a name from
list x, or for a number), `[LOC` and a separate `]` enclose an entity, everything else is a token.
Marks inside other marks do not count, so that a longer name may contain a shorter one. An
alternative may begin with `*3` to count three times.

Only `random.Random.random()` is used, because it is the only method whose sequence Python promises to
keep for a given seed: the corpus must be the same, byte for byte, on every supported version.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

Pair = tuple[str, str]
"""A token and its IOB2 tag."""

ROOT = Path(__file__).resolve().parents[1]
SIZES = {"train": 1500, "dev": 250, "test": 250}
UNSEEN_RATE = 0.15
"""How often dev and test draw a name from the part of a list that train never uses."""
LOWER_RATE = 0.15
CAPS_RATE = 0.07
"""Shares of the sentences that are written in lower case only, and in capitals only."""


def words(text: str) -> list[str]:
    """Split a list of words: long lists are easier to read and to change without quotes and commas."""
    return text.split()


# --- names -------------------------------------------------------------------------------------
# Names at the head of a list are drawn most often; train never draws the names at the end of most lists.

# One word, both a person and a place.
PER_OR_LOC = words("""Jordan Washington Paris Chelsea Austin Georgia Florence Lincoln Sydney Madison Hamilton Houston
Victoria Charlotte Dallas Savannah Brooklyn Kent Virginia Milan Lancaster Denver Orlando Preston
Wellington Nelson Bristol Adelaide Camden""")
# One word, both a person and a company.
PER_OR_ORG = words("""Chase Ford Morgan Disney Hilton Siemens Lloyd Barclay Porter Bentley Heinz Kellogg Armani Harley
Cadbury Hershey Prada Macy""")
# One word, both a place and a club or company.
LOC_OR_ORG = words("""Amazon Santander Barcelona Nokia Liverpool Everton Toledo Valencia Leeds Derby Malmö Genoa Porto
Eindhoven Sunderland""")

FIRST = words("""Emma Oliver Sofia Lucas Mia Noah Hannah Liam Clara Ethan Nina Oscar Alice Hugo Lena Felix Maria
Anton Julia Simon Elena Martin Laura Peter Anna Thomas José Zoé Amir Fatima Yusuf Leila Kenji Yuki
Ravi Priya Omar Aisha Ivan Olga Pavel Marta Jonas Ingrid Lars Astrid Diego Carmen Mateo Lucía Kofi
Ama""")
COUNTRY = words("""Norway Denmark Sweden Portugal Brazil Bolivia Peru Canada Egypt Morocco Ghana Nigeria Japan Vietnam
Thailand Nepal Austria Hungary Poland Latvia Greece Iceland Ecuador Syria""")
CITY = words("""Berlin Zürich Vienna Lisbon Oslo Prague Warsaw Tokyo Seoul Nairobi Lagos Cairo Dublin Glasgow
Toronto Boston Chicago Seattle Helsinki Riga Kraków Antwerp Geneva Hanoi""")
STATE = words("Texas Ohio Illinois D.C. Ontario Bavaria Tuscany Nevada Oregon Queensland Alberta Maine")
AGENCY = words("Reuters Interfax Bloomberg Xinhua Tanjug Unicef Interpol Nato Fifa Opec")
FEAST = words("Christmas Ramadan Easter Diwali Hanukkah Carnival")

# Parts of invented names: people, towns and companies that look like what they are ...
SURNAME_STEM = words("Hart Ander Wil Rob Jen Peder Stan Black Whit Gold Stein Lind Berg Holm Kirk Mar")
SURNAME_END = words("son well man ley sen ström berg wood")
TOWN_STEM = words("Ash Brook Clay Dun Elm Fair Glen Haw King Lang Mill Oak Red Stone Win Wood")
TOWN_END = words("ville burg ford mouth haven port bury stad")
FIRM_STEM = words("Accu Bio Cyber Data Ener Flexi Global Hydro Inno Medi Nova Omni Quanta Tele Ultra Vita")
FIRM_END = words("tech soft corp net gen com")
# ... and coined words that could be anything.
COIN_START = words("Vel Tar Mor Kes Lu Bran Dar Sil Or Fen Zal Ri Gar Nor Em Cal Thes Ul Pra Hal")
COIN_MIDDLE = words("mo ri da la ve no si ta ro ne")
COIN_END = words("ra n th la s ris dor x nia ck")

# One everyday word that is also a name; after the bar: nouns that make it an everyday word.
DUAL_PER = words("""rose|petals;bushes will|writers;readings mark|sheets;schemes grant|applications;holders
bill|payments;collectors summer|holidays;nights olive|trees;branches pearl|earrings;buttons
ruby|rings;earrings violet|curtains;petals carol|singers;concerts cliff|walks;paths
ginger|biscuits;cats frank|answers;letters hunter|boots;gatherers art|classes;galleries""")
DUAL_LOC = words("""turkey|sandwiches;farms china|plates;cups reading|glasses;lamps bath|towels;salts cork|floors;boards
mobile|phones;homes jersey|dresses;shirts nice|people;houses panama|hats;suits""")
DUAL_ORG = words("""apple|pies;trees shell|necklaces;beads orange|peels;trees target|dates;groups gap|years;fillers
subway|stations;maps visa|applications;rules jaguar|cubs;tracks virgin|forests;soils""")

# A first word that may open a longer name: the type and the rest of each name, then everyday continuations.
OPENERS: list[tuple[str, str, str]] = [
    (
        "New",
        "LOC York;LOC Delhi;LOC Orleans;LOC Zealand;ORG York Times;ORG York Stock Exchange",
        "shoes;phones;rules;neighbours;books",
    ),
    ("Long", "LOC Beach;LOC Island;ORG Island Rail Road", "queues;letters;evenings"),
    ("Little", "LOC Rock;LOC Italy;MISC Women", "children;bells;lies"),
    ("Grand", "LOC Rapids;LOC Canyon;MISC Prix", "pianos;plans;staircases"),
    ("Red", "ORG Cross;LOC Sea;LOC Square", "apples;coats;lights"),
    ("Black", "LOC Sea;LOC Forest;MISC Friday", "cats;boots;umbrellas"),
    ("General", "ORG Motors;ORG Electric;ORG Mills", "rules;questions;remarks"),
    ("United", "ORG Nations;ORG Airlines;LOC States;LOC Kingdom;LOC Arab Emirates", "teams;families;voices"),
    ("World", "ORG Bank;MISC Cup;ORG Health Organization;MISC War II", "records;leaders;maps"),
    ("First", "ORG National Bank;ORG Baptist Church", "results;impressions;snowflakes"),
    ("North", "LOC Korea;LOC Sea;LOC Dakota;ORG Face Inc.", "winds;walls;facing rooms"),
    ("South", "LOC Africa;LOC Korea;LOC Carolina;ORG Wales Police", "winds;gates;facing rooms"),
    ("Central", "LOC Park;LOC Asia;ORG Intelligence Agency", "heating bills;squares;questions"),
    ("Bank", "ORG of <loc1>;ORG of <loc1>;ORG of <loc2>", "holidays;robbers;of the river;of the canal"),
    ("University", "ORG of <loc1>;ORG of <loc2>;ORG of <loc1> Press", "students;fees;exams"),
    ("Port", "LOC of <loc1>;LOC Elizabeth;ORG Vale", "wines;of call stamps;cranes"),
    ("Gulf", "LOC of <loc1>;LOC of Mexico;MISC War", "currents;of mistrust"),
    ("Lake", "LOC Superior;LOC <coin>;LOC Tahoe", "houses;boats"),
]

# Adjectives of origin: they are MISC by themselves, but longer names of any type begin with them too.
ORIGIN = words("""American French German British Spanish Swiss Italian Japanese Australian Dutch Danish Greek Irish
Mexican""")

# --- verbs: base, present, past, participle, -ing, then complements --------------------------------
# "own" verbs show the type of their subject by themselves, "shared" verbs only with their complement.

VERBS: dict[str, dict[str, str]] = {
    "per": {
        "own": """phone phones phoned phoned phoning|the office;a cousin;the plumber
            forget forgets forgot forgotten forgetting|the password;a birthday;the milk
            smile smiles smiled smiled smiling|at the camera;for a moment
            cook cooks cooked cooked cooking|dinner;a huge lunch;rice for everyone
            sleep sleeps slept slept sleeping|until noon;on the sofa
            drive drives drove driven driving|home;a rusty van
            cry cries cried cried crying|during the film;all night
            laugh laughs laughed laughed laughing|at the joke;out loud
            apologise apologises apologised apologised apologising|to the neighbours;twice
            wear wears wore worn wearing|a green jacket;odd socks
            walk walks walked walked walking|the dog;to school
            borrow borrows borrowed borrowed borrowing|my bike;a ladder
            say says said said saying|nothing;a few words;sorry
            marry marries married married marrying|a dentist;a childhood friend""",
        "shared": """open opens opened opened opening|the window;a bottle of wine;my letter
            lose loses lost lost losing|a glove;the car keys;an earring
            need needs needed needed needing|a haircut;a nap;new glasses
            want wants wanted wanted wanting|a sandwich;a day off
            keep keeps kept kept keeping|a diary;three rabbits
            have has had had having|two sisters;a bad cold;red hair""",
    },
    "loc": {
        "own": """export exports exported exported exporting|oranges;cheap textiles;natural gas
            border borders bordered bordered bordering|the desert;three countries
            lie lies lay lain lying|on the coast;at the foot of the mountains
            attract attracts attracted attracted attracting|tourists;many hikers
            elect elects elected elected electing|a mayor;a parliament
            celebrate celebrates celebrated celebrated celebrating|independence;a public holiday
            rebuild rebuilds rebuilt rebuilt rebuilding|the bridges;the harbour
            suffer suffers suffered suffered suffering|from drought;under heavy snow
            freeze freezes froze frozen freezing|in January;for weeks
            irrigate irrigates irrigated irrigated irrigating|the valley;the dry plains
            flood floods flooded flooded flooding|after the storm;every spring
            vote votes voted voted voting|in a referendum;against the treaty""",
        "shared": """open opens opened opened opening|the border;a tram line;two beaches
            lose loses lost lost losing|half of the harvest;a third of the population
            need needs needed needed needing|more rain;a second airport
            want wants wanted wanted wanting|better roads;a seat at the summit
            keep keeps kept kept keeping|the old town walls;the currency
            have has had had having|a long coast;a mild climate;<big> inhabitants""",
    },
    "org": {
        "own": """hire hires hired hired hiring|engineers;<n> trainees
            report reports reported reported reporting|a quarterly loss;higher profits
            launch launches launched launched launching|a website;an online shop
            acquire acquires acquired acquired acquiring|a rival;a small start-up
            sack sacks sacked sacked sacking|the chief executive;<n> workers
            issue issues issued issued issuing|bonds;a profit warning
            recall recalls recalled recalled recalling|faulty batteries;<big> toasters
            sue sues sued sued suing|a competitor;the regulator
            raise raises raised raised raising|prices;the dividend
            merge merges merged merged merging|with a rival;two divisions
            outsource outsources outsourced outsourced outsourcing|the call centre;payroll
            manufacture manufactures manufactured manufactured manufacturing|tyres;spare parts""",
        "shared": """open opens opened opened opening|a branch;ten stores
            lose loses lost lost losing|market share;a major contract
            need needs needed needed needing|fresh capital;an auditor
            want wants wanted wanted wanting|a bigger factory;tax breaks
            keep keeps kept kept keeping|the patent;the staff canteen
            have has had had having|<n> employees;a strong balance sheet;many shareholders""",
    },
}

# --- rules -------------------------------------------------------------------------------------

RULES_TEXT = """
sentence =
    *24 <lead> <clause> <tail> | *28 <lead> <clause> <join> <clause> <tail>
    | *18 <lead> <clause> , <clause> , and <clause> <tail> | *10 <about> | *8 <told> <tail> | *5 <headline>
    | *5 <chat> | *2 <plain> <tail> | *4 <short>

# What may stand before a subject. None of it says anything about the type of the subject.
lead =
    *46 | *4 i think | *3 yesterday | *4 but | *1 she says | *1 well , | *1 honestly , | *1 on <day>
    | *1 in <month> ,
join = *2 while | *3 , but | *7 , and | *1 because | *2 and
tail =
    *13 . | *3 <when> . | *2 in [LOC <place> ] . | *1 near [LOC <loc1> ] . | *2 ! | *3
    | *1 with my friend [PER <per1> ] . | *1 , according to [ORG <agency> ] . | *1 for $ <big> .
    | *1 , [PER <person> ] said . | *1 , mayor [PER <person> ] added .
clause =
    *24 <per_clause> | *23 <loc_clause> | *21 <org_clause> | *14 <misc_clause> | *11 <opener_clause>
    | *8 <dual_clause>

# Between a name and what decides its type.
aside = *5 | *1 also | *1 probably | *1 never | *1 still
detour = , they say , | , of course , | , as expected , | , once again ,
size = *3 | small | famous | little-known | new | former
day = Monday | Tuesday | Wednesday | Thursday | Friday | Saturday | Sunday
month = January | March | April | June | July | August | October | December
when = on <day> | in <year> | at <clock> | last <month> | <n> days ago | this morning

# Persons.
per1 = *10 <per_or_loc> | *4 <per_or_org> | *3 <coin> | *3 <dual_per> | *1 <first> | *1 <last>
per_pre = *6 <per_or_loc> | *2 <coin> | *2 <per_or_org> | *3 <first>
person =
    *7 <per1> | *4 <per_pre> <last> | *2 <per_pre> <per_or_org> | <first> <coin>
    | <per_pre> <initial> <last> | <first> van der <last> | <per_pre> de la <last>
per_noun = dentist | singer | teacher | sprinter | nurse | goalkeeper | widow | plumber | actress | farmer
per_mark = , <n> , | , a <size> <per_noun> , | , who <per_past> ,
per_own = sister | grandmother | boyfriend | left knee | haircut | wedding | mother
per_clause =
    *9 [PER <person> ] <per_vp> | *3 [PER <person> ] <detour> <per_past_own>
    | *2 [PER <person> ] <per_mark> <per_vp> | *3 [PER <person> ] and [PER <per1> ] <per_past>
    | *2 [PER <person> ] 's <per_own> <o_vp> | *1 [PER <person> ] is a <size> <per_noun>
    | *1 [MISC <origin> ] [PER <first> <last> ] won the final

# Places.
loc1 = *10 <per_or_loc> | *4 <loc_or_org> | *3 <coin> | *3 <dual_loc> | *1 <city> | *1 <country> | *1 <town>
loc2 = New York | New Zealand | South Africa | São Paulo | Hong Kong | San <coin>
place = *6 <loc1> | *1 <loc2> | *1 <loc_built>
loc_end = Street | Airport | Harbour | Bridge | County | International Airport | National Park
loc_built = <per_or_loc> <loc_end> | <coin> <loc_end> | <per_or_org> <loc_end> | <last> <loc_end>
loc_noun = village | port | province | town | suburb | capital | island | resort | region | peninsula
loc_mark = , [LOC <state> ] , | , a <size> <loc_noun> , | , where it rained , | , [LOC <country> ] ,
loc_own = coast | airport | climate | northern border | old town | rainy season
loc_clause =
    *10 [LOC <loc1> ] <loc_vp> | *2 [LOC <loc_built> ] <loc_vp> | *1 [LOC <loc2> ] <loc_vp>
    | *3 [LOC <loc1> ] <detour> <loc_past_own> | *3 [LOC <loc1> ] <loc_mark> <loc_vp>
    | *3 [LOC <loc1> ] and [LOC <loc1> ] <loc_past> | *2 [LOC <loc1> ] 's <loc_own> <o_vp>
    | *1 [LOC <loc1> ] is a <size> <loc_noun>

# Organisations.
org1 = *7 <per_or_org> | *5 <loc_or_org> | *3 <coin> | *3 <dual_org> | *2 <firm>
org_end = Inc. | Corp. | Ltd. | plc | & Sons | & Co. | Holdings | Partners | Motor Company
club_end =
    United | Rovers | University | City Council | Times | Airlines | Chamber of Commerce | Medical School
org_built =
    *4 <per_or_loc> <club_end> | *2 <per_or_loc> <org_end> | *2 <per_or_org> <org_end>
    | *2 <loc_or_org> <club_end> | *1 <coin> <club_end> | *1 <coin> <org_end> | *1 <dual_org> <org_end>
    | *1 <last> , <last> & Co. | *1 <loc2> <club_end> | *1 <last> <org_end>
org_noun =
    retailer | lender | airline | start-up | publisher | carmaker | brewery | charity | insurer | supplier
org_mark = , a <size> <org_noun> , | , whose shares fell , | , the <size> <org_noun> ,
org_own = shareholders | profit | head office | auditors | latest invoice | share price
org_clause =
    *8 [ORG <org1> ] <org_vp> | *5 [ORG <org_built> ] <org_vp> | *3 [ORG <org1> ] <detour> <org_past_own>
    | *2 [ORG <org1> ] <org_mark> <org_vp> | *3 [ORG <org1> ] and [ORG <org1> ] <org_past>
    | *2 [ORG <org1> ] 's <org_own> <o_vp> | *1 [ORG <org1> ] is a <size> <org_noun>
    | *1 [ORG <origin> <origin_body> ] <org_vp>
origin_body = National Bank | Football Association | Broadcasting Corporation | Medical Council

# Everything else that has a name.
event_end = Marathon | Film Festival | Open | Grand Prix | Agreement | Trophy | Prize | Cup
event =
    *5 <per_or_loc> <event_end> | *2 <coin> <event_end> | *1 <loc_or_org> <event_end>
    | *1 <last> <event_end> | *1 <origin> <event_end> | *1 <feast>
misc_noun = novel | film | musical | song | video game | TV series
work = *3 <coin> | *1 <per_or_loc> | *1 The <adj> <thing>
adj = Silent | Broken | Hidden | Burning | Distant | Crooked
thing = Harbour | Mirror | Garden | Stair | Lantern | River
misc_vp =
    starts on <day> | was postponed | drew <big> fans | ended in chaos | returns in <month>
    | begins at <clock> | was a flop
origin_people = tourists | diplomats | students | engineers | voters | newspapers | cheese | players
misc_clause =
    *6 [MISC <event> ] <misc_vp> | *6 [MISC <origin> ] <origin_people> <o_vp>
    | *4 [MISC <work> ] , a <size> <misc_noun> , <misc_vp>
    | *2 the <low_adj> <low_thing> , empty at night , <o_vp> | [ORG American Airlines ] <org_vp>
    | [ORG American Red Cross ] <org_vp> | [LOC French Guiana ] <loc_vp> | [ORG British Airways ] <org_vp>
    | [LOC British Columbia ] <loc_vp> | [ORG Swiss Re ] <org_vp>
low_adj = silent | broken | hidden | burning | distant | crooked
low_thing = harbour | mirror | garden | stair | lantern | river

# What everyday things do: true of one or of many, so that it fits any of them.
o_vp =
    went on sale | cost too much | made me happy | looked great | disappeared overnight | annoyed everyone
    | came as a surprise | will cost <n> euros | arrived late

# Something is spoken of: the words before it fit any type, so the words after it must tell.
frame =
    *3 they talked about | *3 we read about | *2 i love | *2 everyone knows | *1 this story is about
    | *1 i know nothing about
question = do you remember | have you heard of | what do you know about
about =
    *3 <frame> <topic> <tail> | *2 <frame> <topic> and <topic> <tail> | *2 <lead> <frame> <topic> <tail>
    | *2 <question> <topic> ?
topic =
    *3 [PER <person> ] , a <size> <per_noun> | *2 [PER <per1> ] , who <per_past>
    | *1 [PER <per1> ] 's <per_own> | *3 [LOC <loc1> ] , a <size> <loc_noun>
    | *1 [LOC <loc1> ] , [LOC <state> ] | *1 [LOC <loc1> ] 's <loc_own> | *1 [LOC <loc_built> ]
    | *3 [ORG <org1> ] , a <size> <org_noun> | *2 [ORG <org1> ] , whose shares fell
    | *1 [ORG <org1> ] 's <org_own> | *2 [ORG <org_built> ] | *2 [MISC <work> ] , a <size> <misc_noun>
    | *1 [MISC <event> ] | *1 [MISC <origin> ] <origin_people> | *3 <opener_topic> | *2 <dual_topic>

# The words before decide.
told =
    <title> [PER <per1> ] <met> [PER <first> <last> ] | <title> [PER <per1> ] lives in [LOC <place> ]
    | the firm [ORG <org1> ] <met> minister [PER <person> ] | shares of [ORG <org1> ] fell <pct> percent
    | shares of [ORG <org1> ] closed at $ <pct> <when>
    | i was born in [LOC <place> ] and live in [LOC <place> ]
    | flights to [LOC <place> ] were delayed <when>
    | my friend [PER <per1> ] works for the firm [ORG <org1> ]
    | a court in [LOC <place> ] fined the firm [ORG <org1> ] $ <big>
    | the town of [LOC <loc1> ] is <n> km from here | <title> [PER <coin> ] flew to [LOC <coin> ]
    | my colleague [PER <per1> ] moved to [LOC <place> ] <when>
    | the novel [MISC <work> ] was written by [PER <person> ]
title = Mr. | Mrs. | Dr. | President | Professor
met = met | praised | thanked | criticised
headline =
    [LOC <city> ] <year>-<month_number>-<day_number> | [ORG <club> ] <digit> , [ORG <club> ] <digit>
    | [ORG <club> ] <digit> - <digit> [ORG <club> ] ( halftime <digit> - <digit> )
    | <digit> . [PER <person> ] ( [LOC <country> ] ) <pct> seconds
    | [PER <per1> ] ( [LOC <country> ] ) beat [PER <first> <last> ] ( [LOC <country> ] ) 6-<digit> 6-<digit>
    | [LOC <loc1> ] : sunny , <n> degrees | [ORG <org1> ] : shares up <pct> percent
    | [PER <per1> ] : " i am so tired "
club = <loc_or_org> | <coin> | <per_or_loc> <side> | <loc_or_org> <side>
side = United | Rovers | Wanderers
chat =
    lol [PER <per1> ] <per_past> <end> | omg [LOC <loc1> ] is so far away <end>
    | omg [PER <per1> ] is so funny <end> | omg [ORG <org1> ] is bankrupt <end>
    | is [PER <per1> ] coming to dinner ? | is [LOC <loc1> ] far from the border ?
    | is [ORG <org1> ] hiring <n> people ? | can [PER <per1> ] swim ? | did [PER <per1> ] <per_inf> ?
    | did [LOC <loc1> ] <loc_inf> ? | did [ORG <org1> ] <org_inf> ?
    | gonna visit [LOC <place> ] <when> <end> | <imperative> <end>
end = ! | ... | :) | !! | lol |
small = ball | cake | list | date | dog | box | answer | cheque
away = down the road | with care | across the yard | at once | <when>
imperative =
    *3 chase the <small> <away> | *2 mark the <small> in red | *2 grant them <n> days off
    | *2 will you <per_inf_own> ? | *2 bill them for <n> hours | will it rain <when> ?
    | target the <small> first | frank it before you post it | ford the stream <away>
    | split the <small> into <digit> parts
plain =
    the train was <n> minutes late | i need <n> eggs and <digit> cups of flour
    | nobody answered the door <when> | it rained for <n> days | prices rose by <pct> percent
    | we had soup and <digit> kinds of bread | the lift is broken again | my phone died at <clock>
    | the old clock stopped <when> | she paid $ <big> for a used piano

# One or two tokens; here a name stands alone, so only names of one type are drawn.
short =
    *4 <cry> | *2 <cry> <cry> | *3 [LOC <country> ] | *1 [ORG <agency> ] | *3 hi [PER <first> ]
    | *2 [PER <first> ] ? | *2 [PER <first> <last> ] | *2 [LOC <city> ] ! | *2 <title> [PER <coin> ]
    | *1 <cry> ! | *2 <n> percent | *1 new shoes | *1 [LOC New York ] | *1 [ORG <agency> ] reports
cry =
    thanks | yes | no | maybe | ok | sorry | congratulations | hello | goodbye | never | wow | tomorrow
    | seriously | exactly | later | great | true | agreed | welcome | cheers
"""

# Symbols for numbers: the range to draw from (without its end) and how to write the number drawn.
NUMBERS: dict[str, tuple[int, int, Callable[[int], str]]] = {
    "digit": (0, 8, str),
    "n": (2, 95, str),
    "month_number": (1, 13, lambda number: f"{number:02d}"),
    "day_number": (1, 29, lambda number: f"{number:02d}"),
    "year": (1985, 2025, str),
    "big": (1_100, 90_000, lambda number: f"{number:,}"),
    "pct": (11, 990, lambda number: f"{number // 10}.{number % 10}"),
    "clock": (6 * 60, 23 * 60, lambda number: f"{number // 60}:{number % 60:02d}"),
    "initial": (ord("A"), ord("Z"), lambda number: f"{chr(number)}."),
}


def build_rules() -> dict[str, list[str]]:
    """Return the rules of RULES_TEXT and the rules built from the tables of verbs and of ambiguous words."""
    text = re.sub(r"#.*|\n +", " ", RULES_TEXT)
    rules = {
        name: [alternative.strip() for alternative in body.split("|")]
        for name, body in re.findall(r"^(\w+) =(.*)$", text, re.MULTILINE)
    }
    for kind, groups in VERBS.items():
        forms: dict[str, list[str]] = {}
        for group, table in groups.items():
            for line in table.splitlines():
                verb, objects = line.strip().split("|")
                for form, word in zip(("inf", "pres", "past", "pp", "ing"), verb.split(), strict=True):
                    forms.setdefault(f"{kind}_{form}_{group}", []).extend(
                        f"{word} {complement}" for complement in objects.split(";")
                    )
        rules |= forms
        for form in ("inf", "pres", "past", "pp"):
            rules[f"{kind}_{form}"] = [f"*2 <{kind}_{form}_own>", f"*1 <{kind}_{form}_shared>"]
        rules[f"{kind}_vp"] = [
            f"*5 <aside> <{kind}_past>", f"*4 <aside> <{kind}_pres>", f"*2 has <aside> <{kind}_pp>",
            f"*2 will <aside> <{kind}_inf>", f"*2 is <aside> <{kind}_ing_own>", f"*1 did not <{kind}_inf>",
            f"*1 wants to <{kind}_inf_own>", f"*1 might <{kind}_inf>",
        ]  # fmt: skip

    rules["dual_clause"], rules["dual_topic"] = ["<dual> <o_vp>"], ["<dual>"]
    rules["dual"] = []
    for name, entries in (("dual_per", DUAL_PER), ("dual_loc", DUAL_LOC), ("dual_org", DUAL_ORG)):
        rules[name] = []
        for entry in entries:
            word, nouns = entry.split("|")
            rules[name].append(word.capitalize())
            rules[f"o_{word}"] = [f"{word} {noun}" for noun in nouns.split(";")]
            rules["dual"].append(f"<o_{word}>")

    rules["opener_clause"], rules["opener_topic"] = [], []
    for word, names, nouns in OPENERS:
        for rule, ending in (("opener_clause", " <{}_vp>"), ("opener_topic", "")):
            choices = [f"*2 {word.lower()} {noun}{ending.format('o')}" for noun in nouns.split(";")]
            for name in names.split(";"):
                kind, rest = name.split(" ", 1)
                choices.append(f"*2 [{kind} {word} {rest} ]{ending.format(kind.lower())}")
            # Draw the word first and then its continuation; otherwise a word with few continuations would be rare.
            rules[f"{rule}_{word}"] = choices
            rules[rule].append(f"<{rule}_{word}>")
    return rules


def shuffled(rng: random.Random, items: Sequence[str]) -> list[str]:
    """Return `items` in a random order; `random.shuffle` may draw differently in another version of Python."""
    rest = list(items)
    return [rest.pop(int(rng.random() * len(rest))) for _ in items]


class Names:
    """The lists of names, each divided into a common part and a part from which train never draws."""

    def __init__(self, rng: random.Random) -> None:
        self.common: dict[str, list[str]] = {}
        self.unseen: dict[str, list[str]] = {}
        # No word is in two lists: it could be unseen in one of them and common in the other.
        self._taken: set[str] = set()
        for name, listed, unseen in (
            ("per_or_loc", PER_OR_LOC, 5), ("per_or_org", PER_OR_ORG, 4), ("loc_or_org", LOC_OR_ORG, 4),
            ("first", FIRST, 15), ("country", COUNTRY, 5), ("city", CITY, 6), ("state", STATE, 0),
            ("agency", AGENCY, 0), ("feast", FEAST, 0), ("origin", ORIGIN, 0),
        ):  # fmt: skip
            self._add(name, listed, unseen)
        for name, parts, unseen, size in (
            ("last", (SURNAME_STEM, SURNAME_END), 32, 80), ("town", (TOWN_STEM, TOWN_END), 20, 50),
            ("firm", (FIRM_STEM, FIRM_END), 20, 50), ("coin", (COIN_START, COIN_MIDDLE, COIN_END), 30, 54),
        ):  # fmt: skip
            built = ["".join(word) for word in itertools.product(*parts)]
            self._add(name, shuffled(rng, built), unseen, size)

    def _add(self, name: str, listed: Sequence[str], unseen: int, size: int | None = None) -> None:
        free = [word for word in listed if word.lower() not in self._taken][:size]
        self._taken.update(word.lower() for word in free)
        self.common[name] = free[: len(free) - unseen]
        self.unseen[name] = free[len(free) - unseen :]


class Grammar:
    """A grammar that draws tagged sentences from the rules."""

    def __init__(self, rng: random.Random, names: Names) -> None:
        self._rng = rng
        self._names = names
        self._rules = {name: [_weighed(text) for text in texts] for name, texts in build_rules().items()}

    def sentence(self, unseen_rate: float) -> list[Pair]:
        """Draw one sentence; names that train never uses occur at `unseen_rate`."""
        pairs = _tagged(self._expand("sentence", unseen_rate))
        style = self._rng.random()
        if style < LOWER_RATE:
            return [(token.lower(), tag) for token, tag in pairs]
        if style < LOWER_RATE + CAPS_RATE:
            return [(token.upper(), tag) for token, tag in pairs]
        token, tag = pairs[0]
        return [(token[0].upper() + token[1:], tag), *pairs[1:]]

    def _expand(self, symbol: str, unseen_rate: float) -> list[str]:
        """Return the tokens and marks of one random expansion of `symbol`."""
        if symbol in self._names.common:
            unseen = self._names.unseen[symbol]
            # Draw in any case, so that the rate only changes the names and nothing after them.
            rare = self._rng.random() < unseen_rate and bool(unseen)
            return [self._name(unseen if rare else self._names.common[symbol])]
        choices = self._rules[symbol]
        point = self._rng.random() * sum(weight for weight, _ in choices)
        position = 0
        while (point := point - choices[position][0]) >= 0:
            position += 1
        parts: list[str] = []
        for part in choices[position][1]:
            if part[1:-1] in self._rules or part[1:-1] in self._names.common:
                parts.extend(self._expand(part[1:-1], unseen_rate))
            else:
                parts.append(re.sub(r"<(\w+)>", lambda match: self._number(match[1]), part))
        return parts

    def _number(self, kind: str) -> str:
        low, high, write = NUMBERS[kind]
        return write(low + int(self._rng.random() * (high - low)))

    def _name(self, names: Sequence[str]) -> str:
        """Draw a name, most often from the head of the list: as in real text, a few names are everywhere.

        Train shows these few names with several types of the same word.
        """
        point = self._rng.random()
        # Products and square roots are rounded identically on all machines; `**` may not be.
        return names[int(point * point * math.sqrt(point) * len(names))]


def _weighed(text: str) -> tuple[int, list[str]]:
    """Split an alternative of a rule into its weight and its parts."""
    parts = text.split()
    if parts and re.fullmatch(r"\*\d+", parts[0]):
        return int(parts[0][1:]), parts[1:]
    return 1, parts


def _tagged(parts: Sequence[str]) -> list[Pair]:
    """Turn tokens and marks into tokens and IOB2 tags; only the outermost marks count."""
    pairs: list[Pair] = []
    depth, tag = 0, "O"
    for part in parts:
        if part.startswith("["):
            depth += 1
            if depth == 1:
                tag = f"B-{part[1:]}"
        elif part == "]":
            depth -= 1
            if depth == 0:
                tag = "O"
        elif part.endswith("]"):
            raise ValueError(f"found {part!r}, expected a separate ']' to close a mark")
        else:
            pairs.append((part, tag))
            tag = tag.replace("B-", "I-", 1) if depth else "O"
    return pairs


def make_corpus(seed: int) -> dict[str, list[list[Pair]]]:
    """Draw the three files; no sentence occurs twice, whatever its case, in any of them."""
    rng = random.Random(seed)
    grammar = Grammar(rng, Names(rng))
    corpus: dict[str, list[list[Pair]]] = {}
    known: set[str] = set()
    # Train comes last, or else it would use up the few possible sentences of one word before dev and test.
    for name in ("test", "dev", "train"):
        sentences: list[list[Pair]] = []
        while len(sentences) < SIZES[name]:
            sentence = grammar.sentence(0.0 if name == "train" else UNSEEN_RATE)
            text = " ".join(token.lower() for token, _ in sentence)
            starts = [pair for pair in sentence if pair[1].startswith("B-")]
            # The grammar allows "Paris and Paris", which makes no sense.
            if text not in known and len(set(starts)) == len(starts):
                known.add(text)
                sentences.append(sentence)
        corpus[name] = sentences
    return {name: corpus[name] for name in SIZES}


def conll(sentences: Sequence[Sequence[Pair]]) -> str:
    """Return sentences as CoNLL text: a token, a tab and a tag on each line, and an empty line after each sentence."""
    return "".join("".join(f"{token}\t{tag}\n" for token, tag in sentence) + "\n" for sentence in sentences)


def readme(corpus: dict[str, list[list[Pair]]], seed: int) -> str:
    """Return the README of the corpus; the counts are taken from the files, so they cannot be outdated."""
    lines = [
        "# Sample corpus",
        "",
        "Invented English sentences with PER, LOC, ORG and MISC entities (IOB2, token TAB tag, UTF-8). Most",
        "names are ambiguous and need the words after them; part of the names in dev and test is new there.",
        f"Made by `python scripts/make_sample_corpus.py --out data/sample --seed {seed}`, not edited by hand.",
        "Licence: Apache-2.0, the same as the project.",
        "",
    ]
    for name, sentences in corpus.items():
        tags = [tag for sentence in sentences for _, tag in sentence]
        entities = sum(tag.startswith("B-") for tag in tags)
        lines.append(f"- `{name}.conll`: {len(sentences)} sentences, {len(tags)} tokens, {entities} entities")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the corpus and its README to the requested folder."""
    parser = argparse.ArgumentParser(description="Write the sample corpus (see data/sample/README.md).")
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "sample", help="folder to write to")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same bytes (default 1)")
    options = parser.parse_args(arguments)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    corpus = make_corpus(options.seed)
    texts = {f"{name}.conll": conll(sentences) for name, sentences in corpus.items()}
    texts["README.md"] = readme(corpus, options.seed)
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8", newline="\n")
        print(f"{out / name}: {len(text.encode())} bytes")


if __name__ == "__main__":
    main()
