"""Clauses of the grammar: French and English word order side by side, from the same choices.

A clause is a function of its choices that returns the two sentences as lists of words, or None where the
choices do not go together. Many reorder on purpose (adverbs, fronted times, possessors, clitics, questions),
so that a simultaneous translator has something to wait for.
"""

from __future__ import annotations

from echostream.corpus import english, french
from echostream.corpus.clause import Rendered, Words
from echostream.corpus.lexicon import Adjective, Noun, Phrase, Verb
from echostream.corpus.phrases import Action, Described, NounPhrase, Subject

MOTION_PREPOSITIONS = {
    "go": ("to", "to"),
    "return": ("to", "to"),
    "arrive": ("at", "in"),
    "stay": ("at", "in"),
    "come": ("to", "to"),
    "come back": ("to", "to"),
    "go down": ("to", "to"),
}
PLURAL_ADVERBS = frozenset({"ensemble"})  # nobody does anything together alone
OBJECT_CLITICS = {
    "me": (0, "me"),
    "te": (1, "you"),
    "lui": (2, "him"),
    "nous": (3, "us"),
    "leur": (5, "them"),
}


def en_progressive(s: Subject, verb: Verb) -> Words:
    """`he is buying`; stative verbs keep the simple present."""
    if verb.stative:
        return en_present(s, verb)
    return [s.en, english.BE[s.person], verb.en_gerund]


def en_present(s: Subject, verb: Verb, adverb: str = "") -> Words:
    """`he often buys`."""
    return [s.en, adverb, english.third_person(verb.en) if s.person == 2 else verb.en]


def en_will(s: Subject, verb: Verb) -> Words:
    """`he is going to buy`."""
    return [s.en, english.BE[s.person], "going to", verb.en]


def fr_present(s: Subject, verb: Verb) -> Words:
    """Subject and present form."""
    return [s.fr, verb.present[s.person]]


def fr_past(s: Subject, verb: Verb, adverb: str = "", clitic: str = "") -> Words:
    """Passé composé with avoir; the adverb stands before the participle."""
    return [s.fr, clitic, french.AVOIR[s.person], adverb, verb.participle]


def fr_past_etre(s: Subject, verb: Verb) -> Words:
    """Passé composé with être; the participle agrees with the subject."""
    participle = french.agree(verb.participle, is_feminine=s.feminine, is_plural=s.plural)
    return [s.fr, french.ETRE[s.person], participle]


def placed(front: bool, adverbial: str, clause: Words) -> Words:
    """The clause with the adverbial in front of it or at its end."""
    return [adverbial, *clause] if front else [*clause, adverbial]


def present_place(s: Subject, a: Action, place: Phrase) -> Rendered:
    """`il lit trois histoires dans notre jardin`: `he is reading three stories in our garden`."""
    return [*fr_present(s, a.verb), *a.object.fr, place.fr], [
        *en_progressive(s, a.verb),
        a.object.en,
        place.en,
    ]


def present_time(front: bool, time: Phrase, s: Subject, a: Action) -> Rendered:
    """`elles choisissent ces chaussures maintenant`: `they are choosing these shoes now`."""
    fr = placed(front, time.fr, [*fr_present(s, a.verb), *a.object.fr])
    return fr, [*en_progressive(s, a.verb), a.object.en, time.en]


def habit(s: Subject, adverb: Phrase, a: Action, place: Phrase) -> Rendered:
    """`tu manges souvent du pain au marché`: `you often eat some bread at the market`."""
    fr = [*fr_present(s, a.verb), adverb.fr, *a.object.fr, place.fr]
    return fr, [*en_present(s, a.verb, adverb.en), a.object.en, place.en]


def routine(front: bool, time: Phrase, s: Subject, a: Action) -> Rendered:
    """`le mardi emma lave la voiture`: `emma washes the car on tuesdays`."""
    fr = placed(front, time.fr, [*fr_present(s, a.verb), *a.object.fr])
    return fr, [*en_present(s, a.verb), a.object.en, time.en]


def past(front: bool, time: Phrase, s: Subject, a: Action) -> Rendered:
    """`il y a deux jours notre voisine a trouvé les stylos`: `our neighbor found the pens two days ago`."""
    fr = placed(front, time.fr, [*fr_past(s, a.verb), *a.object.fr])
    return fr, [s.en, a.verb.en_past, a.object.en, time.en]


def past_place(s: Subject, a: Action, place: Phrase) -> Rendered:
    """`notre enfant a trouvé nos sacs au parc`: `our child found our bags at the park`."""
    return [*fr_past(s, a.verb), *a.object.fr, place.fr], [s.en, a.verb.en_past, a.object.en, place.en]


def past_adverb(s: Subject, adverb: Phrase, a: Action) -> Rendered:
    """`ma mère a vite perdu ta bague`: `my mother quickly lost your ring`."""
    return [*fr_past(s, a.verb, adverb.fr), *a.object.fr], [s.en, adverb.en, a.verb.en_past, a.object.en]


def near_future(front: bool, time: Phrase, s: Subject, a: Action) -> Rendered:
    """`ils vont oublier mes manteaux demain`: `they are going to forget my coats tomorrow`."""
    fr = placed(front, time.fr, [s.fr, french.ALLER[s.person], a.verb.infinitive, *a.object.fr])
    return fr, [*en_will(s, a.verb), a.object.en, time.en]


def modal(s: Subject, m: Verb, a: Action) -> Rendered:
    """`notre voisin doit perdre une jolie chaussure`: `our neighbor must lose a pretty shoe`."""
    en_modal = m.en if m.en in {"can", "must"} or s.person != 2 else english.third_person(m.en)
    return [*fr_present(s, m), a.verb.infinitive, *a.object.fr], [s.en, en_modal, a.verb.en, a.object.en]


def modal_negative(s: Subject, m: Verb, a: Action) -> Rendered:
    """`notre amie ne doit pas choisir nos ballons`: `our friend must not choose our balls`."""
    fr = [s.fr, "ne", m.present[s.person], "pas", a.verb.infinitive, *a.object.fr]
    return fr, [s.en, *english.negated_modal(m.en, s.person), a.verb.en, a.object.en]


def negative(s: Subject, negation: tuple[str, str], a: Action, place: Phrase) -> Rendered:
    """`ils ne choisissent jamais ce livre à la gare`: `they never choose this book at the station`."""
    fr = [s.fr, "ne", a.verb.present[s.person], negation[0], *a.object.fr, place.fr]
    return fr, [*en_present(s, a.verb, negation[1]), a.object.en, place.en]


def possession(d: Described, owner: NounPhrase) -> Rendered:
    """`les ballons de ce guide sont légers`: `this guide's balls are light`."""
    bare = d.phrase.noun.en_plural if d.phrase.plural else d.phrase.noun.en
    fr = [*d.phrase.fr, *owner.after("de"), french.ETRE[d.phrase.person], d.fr_adjective]
    return fr, [f"{owner.en}'s", bare, english.BE[d.phrase.person], d.adjective.en]


def there_is(phrase: NounPhrase, place: Phrase) -> Rendered:
    """`il y a deux cravates magnifiques à l'aéroport`: `there are two magnificent ties at the airport`."""
    return ["il y a", *phrase.fr, place.fr], ["there", english.BE[phrase.person], phrase.en, place.en]


def description(d: Described, degree: Phrase) -> Rendered:
    """`mon téléphone est assez noir`: `my phone is quite black`."""
    fr = [*d.phrase.fr, french.ETRE[d.phrase.person], degree.fr, d.fr_adjective]
    return fr, [d.phrase.en, english.BE[d.phrase.person], degree.en, d.adjective.en]


def where_is(phrase: NounPhrase, near: Phrase) -> Rendered:
    """`où se trouve la pharmacie à marseille`: `where is the pharmacy in marseille`."""
    return ["où se trouve", *phrase.fr, near.fr], ["where is", phrase.en, near.en]


def motion_habit(
    front: bool, time: Phrase, s: Subject, v: Verb, to: tuple[Phrase, bool], by: Phrase | None
) -> Rendered:
    """`le dimanche le médecin va à nantes en bateau`: `the doctor goes to nantes by boat on sundays`."""
    if (by is not None) == (v.en == "stay"):
        return None
    place, is_city = to
    fr = placed(front, time.fr, [*fr_present(s, v), place.fr, by.fr if by else ""])
    en = [*en_present(s, v), MOTION_PREPOSITIONS[v.en][is_city], place.en, by.en if by else "", time.en]
    return fr, en


def motion_past(
    front: bool, time: Phrase, s: Subject, v: Verb, to: tuple[Phrase, bool], who: NounPhrase
) -> Rendered:
    """`hier matin hugo est allé à madrid avec emma`: `hugo went to madrid with emma yesterday morning`."""
    if s.fr == " ".join(who.fr):
        return None
    place, is_city = to
    fr = placed(front, time.fr, [*fr_past_etre(s, v), place.fr, "avec", *who.fr])
    return fr, [s.en, v.en_past, MOTION_PREPOSITIONS[v.en][is_city], place.en, "with", who.en, time.en]


def clitic_object(s: Subject, clitic: tuple[str, str], adverb: Phrase, v: Verb, place: Phrase) -> Rendered:
    """`notre père le lave toujours près de la gare`: `our father always washes it near the station`."""
    fr = [s.fr, clitic[0], v.present[s.person], adverb.fr, place.fr]
    return fr, [*en_present(s, v, adverb.en), clitic[1], place.en]


def dative(front: bool, time: Phrase, s: Subject, clitic: str, a: Action) -> Rendered:
    """`il y a deux jours je leur ai acheté la serviette`: `i bought them the towel two days ago`."""
    person, en_clitic = OBJECT_CLITICS[clitic]
    if person == s.person or (person, s.person) in {(1, 4), (2, 5), (0, 3), (3, 0)}:
        return None
    fr = placed(front, time.fr, [*fr_past(s, a.verb, clitic=clitic), *a.object.fr])
    return fr, [s.en, a.verb.en_past, en_clitic, a.object.en, time.en]


def comparison(d: Described, owner: NounPhrase) -> Rendered:
    """`cette jupe est plus légère que celle de notre frère`: `this skirt is lighter than our brother's`."""
    one = (
        ("celles" if d.phrase.plural else "celle")
        if d.phrase.feminine
        else ("ceux" if d.phrase.plural else "celui")
    )
    fr = [*d.phrase.fr, french.ETRE[d.phrase.person], "plus", d.fr_adjective, "que", one]
    en = [d.phrase.en, english.BE[d.phrase.person], d.adjective.en_more, "than", f"{owner.en}'s"]
    return [*fr, *owner.after("de")], en


def timetable(front: bool, time: Phrase, carrier: Noun, hour: Phrase, city: Phrase) -> Rendered:
    """`ce soir l'avion de six heures part pour paris`: `the six o'clock plane leaves for paris tonight`."""
    fr = placed(front, time.fr, ["le", carrier.fr, "de", hour.fr, "heures", "part pour", city.fr])
    return fr, ["the", hour.en, "o'clock", carrier.en, "leaves for", city.en, time.en]


def departure_question(carrier: Noun, city: Phrase, time: Phrase) -> Rendered:
    """`à quelle heure part le bus pour lyon ce soir`: `what time does the bus for lyon leave tonight`."""
    fr = ["à quelle heure part", "le", carrier.fr, "pour", city.fr, time.fr]
    return fr, ["what time does the", carrier.en, "for", city.en, "leave", time.en]


def need(s: Subject, phrase: NounPhrase, time: Phrase) -> Rendered:
    """`ils ont besoin de ces radios ce matin`: `they need these radios this morning`."""
    fr = [s.fr, french.AVOIR[s.person], "besoin", *phrase.after("de"), time.fr]
    return fr, [s.en, "needs" if s.person == 2 else "need", phrase.en, time.en]


def polite(a: Action, place: Phrase) -> Rendered:
    """`je voudrais manger le riz à rome s'il vous plaît`: `i would like to eat the rice in rome please`."""
    fr = ["je voudrais", a.verb.infinitive, *a.object.fr, place.fr, "s'il vous plaît"]
    return fr, ["i would like to", a.verb.en, a.object.en, place.en, "please"]


def can_you(a: Action, time: Phrase) -> Rendered:
    """`pouvez vous perdre cette chemise demain matin`: `can you lose this shirt tomorrow morning`."""
    return ["pouvez vous", a.verb.infinitive, *a.object.fr, time.fr], [
        "can you",
        a.verb.en,
        a.object.en,
        time.en,
    ]


def when_weather(weather: Phrase, s: Subject, v: Verb, place: Phrase) -> Rendered:
    """`quand il fait nuit tu marches à bordeaux`: `you walk in bordeaux when it is dark`."""
    return ["quand", weather.fr, *fr_present(s, v), place.fr], [
        *en_present(s, v),
        place.en,
        "when",
        weather.en,
    ]


def around_event(event: Phrase, s: Subject, a: Action) -> Rendered:
    """`après le dîner ma mère va acheter mon thé`: `my mother is going to buy my tea after dinner`."""
    fr = [event.fr, s.fr, french.ALLER[s.person], a.verb.infinitive, *a.object.fr]
    return fr, [*en_will(s, a.verb), a.object.en, event.en]


def relative(s: Subject, v: Verb, d: Described, degree: Phrase) -> Rendered:
    """`la chemise qu'ils ont essayée est trop chère`: `the shirt that they tried is too expensive`."""
    if d.phrase.noun.kind not in v.kinds:
        return None
    participle = french.agree(v.participle, is_feminine=d.phrase.feminine, is_plural=d.phrase.plural)
    clause = ["que", s.fr, french.AVOIR[s.person], participle]
    fr = [*d.phrase.fr, *clause, french.ETRE[d.phrase.person], degree.fr, d.fr_adjective]
    return fr, [d.phrase.en, "that", s.en, v.en_past, english.BE[d.phrase.person], degree.en, d.adjective.en]


def price(phrase: NounPhrase, number: Phrase, place: Phrase) -> Rendered:
    """`ma photo coûte trente euros près de la gare`: `my photo costs thirty euros near the station`."""
    fr = [*phrase.fr, "coûtent" if phrase.plural else "coûte", number.fr, "euros", place.fr]
    return fr, [phrase.en, "cost" if phrase.plural else "costs", number.en, "euros", place.en]


def manner(s: Subject, v: Verb, adverb: Phrase, place: Phrase) -> Rendered:
    """`elles dansent ensemble à l'aéroport`: `they are dancing together at the airport`."""
    if adverb.fr in PLURAL_ADVERBS and not s.plural:
        return None
    return [*fr_present(s, v), adverb.fr, place.fr], [*en_progressive(s, v), adverb.en, place.en]


def manner_past(s: Subject, v: Verb, adverb: Phrase, place: Phrase) -> Rendered:
    """`paul a marché lentement à la plage`: `paul walked slowly at the beach`."""
    if adverb.fr in PLURAL_ADVERBS and not s.plural:
        return None
    return [*fr_past(s, v), adverb.fr, place.fr], [s.en, v.en_past, adverb.en, place.en]


def feeling(s: Subject, degree: Phrase, adjective: Adjective, time: Phrase) -> Rendered:
    """`ton voisin est très patient aujourd'hui`: `your neighbor is very patient today`."""
    fr_adjective = adjective.form(feminine=s.feminine, plural=s.plural)
    fr = [s.fr, french.ETRE[s.person], degree.fr, fr_adjective, time.fr]
    return fr, [s.en, english.BE[s.person], degree.en, adjective.en, time.en]


def obligation(a: Action, event: Phrase) -> Rendered:
    """`il faut chercher notre chien après le travail`: `you have to look for our dog after work`."""
    return ["il faut", a.verb.infinitive, *a.object.fr, event.fr], [
        "you have to",
        a.verb.en,
        a.object.en,
        event.en,
    ]


# Clauses of the split test_hard only.


def pain(s: Subject, part: NounPhrase, time: Phrase) -> Rendered:
    """`tu as mal au dos actuellement`: `your back hurts currently`."""
    owner = english.POSSESSIVES.get(s.en, f"{s.en}'s")
    fr = [s.fr, french.AVOIR[s.person], "mal", *part.after("à"), time.fr]
    return fr, [owner, part.noun.en, "hurts", time.en]


def pleasing(phrase: NounPhrase, who: NounPhrase) -> Rendered:
    """`ces stylos bleus plaisent beaucoup au pompier`: `the fireman likes these blue pens a lot`."""
    fr = [*phrase.fr, "plaisent" if phrase.plural else "plaît", "beaucoup", *who.after("à")]
    return fr, [who.en, "likes", phrase.en, "a lot"]


def since(years: Phrase, s: Subject, v: Verb, place: Phrase) -> Rendered:
    """`depuis neuf ans je crie dans notre cave`: `i have been shouting in our cellar for nine years`."""
    fr = ["depuis", years.fr, "ans", *fr_present(s, v), place.fr]
    return fr, [s.en, english.HAVE[s.person], "been", v.en_gerund, place.en, "for", years.en, "years"]


def equality(d: Described, other: NounPhrase) -> Rendered:
    """`notre panier est aussi marron que ma carte`: `our basket is as brown as my map`."""
    if other.noun == d.phrase.noun or other.noun.kind != d.phrase.noun.kind:
        return None
    fr = [*d.phrase.fr, french.ETRE[d.phrase.person], "aussi", d.fr_adjective, "que", *other.fr]
    return fr, [d.phrase.en, english.BE[d.phrase.person], "as", d.adjective.en, "as", other.en]


def why(s: Subject, a: Action, time: Phrase) -> Rendered:
    """`pourquoi est ce que je perds ces boîtes actuellement`: `why am i losing these boxes currently`."""
    if a.verb.stative:
        return None
    fr = ["pourquoi est ce que", *fr_present(s, a.verb), *a.object.fr, time.fr]
    return fr, ["why", english.BE[s.person], s.en, a.verb.en_gerund, a.object.en, time.en]


def cleft(who: NounPhrase, a: Action, time: Phrase) -> Rendered:
    """`c'est ton oncle qui a vendu mes vaches récemment`: `it is your uncle who sold my cows recently`."""
    fr = ["c'est", *who.fr, "qui", french.AVOIR[who.person], a.verb.participle, *a.object.fr, time.fr]
    return fr, ["it is", who.en, "who", a.verb.en_past, a.object.en, time.en]


def just_done(s: Subject, a: Action, place: Phrase) -> Rendered:
    """`notre tante vient de vendre mes tapis à londres`: `our aunt has just sold my rugs in london`."""
    fr = [s.fr, french.VENIR[s.person], "de", a.verb.infinitive, *a.object.fr, place.fr]
    return fr, [s.en, english.HAVE[s.person], "just", a.verb.en_participle, a.object.en, place.en]


def before_doing(s: Subject, a: Action, v: Verb, place: Phrase) -> Rendered:
    """`avant de laver ma robe elle crie à madrid`: `she shouts in madrid before washing my dress`."""
    fr = ["avant de", a.verb.infinitive, *a.object.fr, *fr_present(s, v), place.fr]
    return fr, [*en_present(s, v), place.en, "before", a.verb.en_gerund, a.object.en]


def without_doing(time: Phrase, s: Subject, a: Action) -> Rendered:
    """`récemment je suis parti sans préparer du poisson`: `i left without preparing some fish recently`."""
    left = french.agree("parti", is_feminine=s.feminine, is_plural=s.plural)
    fr = [time.fr, s.fr, french.ETRE[s.person], left, "sans", a.verb.infinitive, *a.object.fr]
    return fr, [s.en, "left without", a.verb.en_gerund, a.object.en, time.en]
