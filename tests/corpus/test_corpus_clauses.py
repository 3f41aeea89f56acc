"""Clauses by hand: both languages, agreement, reordering, and choices that do not go together."""

import pytest

from echostream.corpus import complex_clauses as c
from echostream.corpus import negations as n
from echostream.corpus import quantities as u
from echostream.corpus import questions as q
from echostream.corpus import templates as t
from echostream.corpus.clause import Rendered
from echostream.corpus.lexicon import Phrase, load_lexicon
from echostream.corpus.phrases import Described, PhraseBook, Subject
from tests.corpus.sentence_parts import (
    MARKET,
    NOW,
    TO_ROME,
    TOMORROW,
    VERY,
    YESTERDAY,
    action,
    adjective,
    noun,
    pronoun,
    texts,
    verb,
)


@pytest.fixture(scope="module")
def book() -> PhraseBook:
    return PhraseBook(load_lexicon(), allow_heldout=True)


def test_clauses(book: PhraseBook) -> None:
    lexicon = book.lexicon
    yesterday, often = Phrase("hier", "yesterday"), Phrase("souvent", "often")
    market = Phrase("au marché", "at the market")
    robe = action(book, "acheter", "robe", "a")
    cases = [
        (
            t.past(True, yesterday, pronoun("nous"), robe),
            "hier nous avons acheté une robe",
            "we bought a dress yesterday",
        ),
        (
            t.past(False, yesterday, pronoun("je"), robe),
            "j'ai acheté une robe hier",
            "i bought a dress yesterday",
        ),
        (
            t.habit(
                pronoun("elle"),
                often,
                action(book, "manger", "pain", "some_mass"),
                market,
            ),
            "elle mange souvent du pain au marché",
            "she often eats some bread at the market",
        ),
        (
            t.present_place(pronoun("tu"), action(book, "adorer", "fromage", "the"), market),
            "tu adores le fromage au marché",
            "you love the cheese at the market",
        ),
        (
            t.present_place(pronoun("ils"), action(book, "chercher", "clé", "our"), market),
            "ils cherchent notre clé au marché",
            "they are looking for our key at the market",
        ),
        (
            t.modal_negative(pronoun("il"), verb(lexicon, "vouloir"), action(book, "lire", "lettre", "the")),
            "il ne veut pas lire la lettre",
            "he does not want to read the letter",
        ),
        (
            t.modal_negative(
                pronoun("vous"), verb(lexicon, "pouvoir"), action(book, "oublier", "clé", "the")
            ),
            "vous ne pouvez pas oublier la clé",
            "you cannot forget the key",
        ),
        (
            t.negative(
                pronoun("je"), ("plus", "no longer"), action(book, "utiliser", "radio", "this"), market
            ),
            "je n'utilise plus cette radio au marché",
            "i no longer use this radio at the market",
        ),
        (
            t.dative(True, yesterday, pronoun("il"), "me", action(book, "apporter", "cadeau", "a")),
            "hier il m'a apporté un cadeau",
            "he brought me a gift yesterday",
        ),
        (
            t.clitic_object(pronoun("je"), ("le", "it"), often, verb(lexicon, "acheter"), market),
            "je l'achète souvent au marché",
            "i often buy it at the market",
        ),
    ]
    for rendered, fr, en in cases:
        assert texts(book, rendered) == (fr, en)


def test_participles_agree(book: PhraseBook) -> None:
    lexicon, degree = book.lexicon, Phrase("très", "very")
    described = Described(
        book.noun_phrase(noun(lexicon, "robe"), "the_plural"), adjective(lexicon, "élégant")
    )
    assert (
        t.relative(pronoun("elle"), verb(lexicon, "prendre"), described, degree) is None
    )  # no class of its objects
    poem = Described(book.noun_phrase(noun(lexicon, "lettre"), "the"), adjective(lexicon, "long"))
    assert texts(book, t.relative(pronoun("elle"), verb(lexicon, "prendre"), poem, degree)) == (
        "la lettre qu'elle a prise est très longue",
        "the letter that she took is very long",
    )
    assert texts(book, t.relative(pronoun("elle"), verb(lexicon, "acheter"), described, degree)) == (
        "les robes qu'elle a achetées sont très élégantes",
        "the dresses that she bought are very elegant",
    )
    sister = book.noun_phrase(noun(lexicon, "sœur"), "my")
    to_paris = (Phrase("à paris", "paris"), True)
    rendered = t.motion_past(
        True, Phrase("hier", "yesterday"), pronoun("elles"), verb(lexicon, "arriver"), to_paris, sister
    )
    assert texts(book, rendered) == (
        "hier elles sont arrivées à paris avec ma sœur",
        "they arrived in paris with my sister yesterday",
    )


def test_possessor_and_comparison_reorder(book: PhraseBook) -> None:
    teacher = book.noun_phrase(noun(book.lexicon, "professeur"), "the")
    described = Described(
        book.noun_phrase(noun(book.lexicon, "valise"), "the"), adjective(book.lexicon, "lourd")
    )
    assert texts(book, t.possession(described, teacher)) == (
        "la valise du professeur est lourde",
        "the teacher's suitcase is heavy",
    )
    assert texts(book, t.comparison(described, teacher)) == (
        "la valise est plus lourde que celle du professeur",
        "the suitcase is heavier than the teacher's",
    )


def test_choices_that_do_not_go_together_are_refused(book: PhraseBook) -> None:
    give = action(book, "apporter", "cadeau", "a")
    assert t.dative(True, Phrase("hier", "yesterday"), pronoun("je"), "me", give) is None
    person = book.noun_phrase(noun(book.lexicon, "frère"), "my")
    brother = Subject("mon frère", "my brother", 2, False)
    place = (Phrase("à paris", "paris"), True)
    assert (
        t.motion_past(True, Phrase("hier", "yesterday"), brother, verb(book.lexicon, "aller"), place, person)
        is None
    )


def check(book: PhraseBook, cases: list[tuple[Rendered, str, str]]) -> None:
    for rendered, fr, en in cases:
        assert texts(book, rendered) == (fr, en)


def test_negations(book: PhraseBook) -> None:
    buy = action(book, "acheter", "robe", "this")
    bread, apple = (book.noun_phrase(noun(book.lexicon, word), "the") for word in ("pain", "pomme"))
    check(
        book,
        [
            (
                n.past_negative(True, YESTERDAY, pronoun("elle"), buy),
                "hier elle n'a pas acheté cette robe",
                "she did not buy this dress yesterday",
            ),
            (
                n.past_not_yet(pronoun("je"), action(book, "lire", "lettre", "the")),
                "je n'ai pas encore lu la lettre",
                "i have not read the letter yet",
            ),
            (
                n.present_negative(pronoun("je"), buy, NOW),
                "je n'achète pas cette robe maintenant",
                "i am not buying this dress now",
            ),
            (
                n.future_negative(False, TOMORROW, pronoun("ils"), buy),
                "ils ne vont pas acheter cette robe demain",
                "they are not going to buy this dress tomorrow",
            ),
            (
                n.there_is_none(bread, MARKET),
                "il n'y a plus de pain au marché",
                "there is no more bread at the market",
            ),
            (
                n.there_is_none(apple, MARKET),
                "il n'y a plus de pommes au marché",
                "there are no more apples at the market",
            ),
            (
                n.no_need(pronoun("il"), bread, NOW),
                "il n'a pas besoin du pain maintenant",
                "he does not need the bread now",
            ),
        ],
    )


def test_questions(book: PhraseBook) -> None:
    buy = action(book, "acheter", "robe", "this")
    dresses = book.noun_phrase(noun(book.lexicon, "robe"), "these")
    check(
        book,
        [
            (
                q.present_question(pronoun("il"), buy, MARKET),
                "est ce qu'il achète cette robe au marché",
                "is he buying this dress at the market",
            ),
            (
                q.past_question(pronoun("tu"), buy, YESTERDAY),
                "est ce que tu as acheté cette robe hier",
                "did you buy this dress yesterday",
            ),
            (
                q.future_question(pronoun("elles"), buy, TOMORROW),
                "est ce qu'elles vont acheter cette robe demain",
                "are they going to buy this dress tomorrow",
            ),
            (
                q.modal_question(pronoun("nous"), verb(book.lexicon, "pouvoir"), buy),
                "est ce que nous pouvons acheter cette robe",
                "can we buy this dress",
            ),
            (
                q.modal_question(pronoun("elle"), verb(book.lexicon, "vouloir"), buy),
                "est ce qu'elle veut acheter cette robe",
                "does she want to buy this dress",
            ),
            (
                q.where_question(pronoun("il"), buy, YESTERDAY),
                "où est ce qu'il a acheté cette robe hier",
                "where did he buy this dress yesterday",
            ),
            (
                q.when_question(pronoun("je"), buy, MARKET),
                "quand est ce que je vais acheter cette robe au marché",
                "when am i going to buy this dress at the market",
            ),
            (
                q.who_question(buy, YESTERDAY),
                "qui a acheté cette robe hier",
                "who bought this dress yesterday",
            ),
            (
                q.what_question(pronoun("elle"), verb(book.lexicon, "chercher"), MARKET),
                "qu'est ce qu'elle va chercher au marché",
                "what is she going to look for at the market",
            ),
            (
                q.price_question(dresses, MARKET),
                "combien coûtent ces robes au marché",
                "how much do these dresses cost at the market",
            ),
        ],
    )


def test_quantities_and_infinitives(book: PhraseBook) -> None:
    lexicon, six = book.lexicon, Phrase("six", "six")
    robe, museum = action(book, "acheter", "robe", "a"), book.noun_phrase(noun(book.lexicon, "musée"), "the")
    check(
        book,
        [
            (
                u.opening(True, Phrase("le mardi", "on tuesdays"), museum, six),
                "le mardi le musée ouvre à six heures",
                "the museum opens at six o'clock on tuesdays",
            ),
            (
                u.duration(pronoun("il"), verb(lexicon, "dormir"), six, Phrase("jours", "days"), MARKET),
                "il a dormi pendant six jours au marché",
                "he slept at the market for six days",
            ),
            (
                u.paid(False, YESTERDAY, pronoun("vous"), Phrase("vingt", "twenty"), robe.object),
                "vous avez payé vingt euros pour une robe hier",
                "you paid twenty euros for a dress yesterday",
            ),
            (
                c.purpose(pronoun("elle"), verb(lexicon, "aller"), TO_ROME, robe),
                "elle est allée à rome pour acheter une robe",
                "she went to rome to buy a dress",
            ),
            (
                c.catenative(pronoun("je"), Phrase("oublié de", "forgot to"), robe, YESTERDAY),
                "j'ai oublié d'acheter une robe hier",
                "i forgot to buy a dress yesterday",
            ),
            (
                c.gerund(pronoun("il"), robe, verb(lexicon, "chanter")),
                "il achète une robe en chantant",
                "he is buying a dress while singing",
            ),
            (
                c.imperfect_place(False, YESTERDAY, pronoun("nous"), verb(lexicon, "dormir"), MARKET),
                "nous dormions au marché hier",
                "we were sleeping at the market yesterday",
            ),
            (
                c.almost_done(True, YESTERDAY, pronoun("je"), robe),
                "hier j'ai failli acheter une robe",
                "i almost bought a dress yesterday",
            ),
            (
                c.in_progress(pronoun("il"), robe),
                "il est en train d'acheter une robe",
                "he is in the middle of buying a dress",
            ),
            (
                c.after_doing(robe, pronoun("il"), verb(lexicon, "danser"), MARKET),
                "après avoir acheté une robe il danse au marché",
                "he dances at the market after buying a dress",
            ),
        ],
    )


def test_clefts_relatives_and_persons(book: PhraseBook) -> None:
    lexicon = book.lexicon
    dresses, robe = action(book, "vendre", "robe", "the_plural"), action(book, "acheter", "robe", "this")
    sister = book.noun_phrase(noun(lexicon, "sœur"), "my")
    guide = book.noun_phrase(noun(lexicon, "guide"), "this")
    knee = book.noun_phrase(noun(lexicon, "genou"), "the")
    described = Described(
        book.noun_phrase(noun(lexicon, "robe"), "the_plural"), adjective(lexicon, "élégant")
    )
    tea, fish = action(book, "adorer", "thé", "the"), action(book, "détester", "poisson", "the")
    check(
        book,
        [
            (
                c.cleft_time(TOMORROW, pronoun("il"), robe),
                "c'est demain qu'il va acheter cette robe",
                "it is tomorrow that he is going to buy this dress",
            ),
            (
                c.cleft_place(MARKET, pronoun("ils"), robe),
                "c'est au marché qu'ils ont acheté cette robe",
                "it is at the market that they bought this dress",
            ),
            (
                c.cleft_object(robe, Subject.of(sister)),
                "c'est cette robe que ma sœur va acheter",
                "it is this dress that my sister is going to buy",
            ),
            (
                c.relative_person(
                    sister, verb(lexicon, "courir"), MARKET, VERY, adjective(lexicon, "patient")
                ),
                "ma sœur qui court au marché est très patiente",
                "my sister who runs at the market is very patient",
            ),
            (
                c.relative_goal(pronoun("je"), dresses, pronoun("il"), verb(lexicon, "acheter")),
                "je vends les robes qu'il a achetées",
                "i am selling the dresses that he bought",
            ),
            (
                c.relative_need(described, pronoun("il"), VERY),
                "les robes dont il a besoin sont très élégantes",
                "the dresses that he needs are very elegant",
            ),
            (
                c.contrast(pronoun("il"), tea, fish),
                "il adore le thé mais il déteste le poisson",
                "he loves the tea but he hates the fish",
            ),
            (
                c.injury(True, YESTERDAY, Subject.of(sister), knee),
                "hier ma sœur s'est blessée au genou",
                "my sister hurt her knee yesterday",
            ),
            (
                c.care(sister, knee, guide, MARKET),
                "ma sœur soigne le genou de ce guide au marché",
                "my sister is treating this guide's knee at the market",
            ),
        ],
    )
    assert c.care(sister, knee, sister, MARKET) is None
    together = Phrase("ensemble", "together")
    for clause in (t.manner, t.manner_past):
        assert clause(pronoun("il"), verb(lexicon, "danser"), together, MARKET) is None
        assert clause(pronoun("elles"), verb(lexicon, "danser"), together, MARKET) is not None
    assert c.contrast(pronoun("il"), tea, tea) is None
    assert c.relative_goal(pronoun("je"), dresses, pronoun("il"), verb(lexicon, "vendre")) is None
    assert c.relative_goal(pronoun("je"), dresses, pronoun("il"), verb(lexicon, "boire")) is None
