"""Scores of answers in words, against the reference scorers where they are known.

What is expected of `words` and CIDEr was computed once with pycocoevalcap 1.2 (coco-caption's code:
its tokeniser is Stanford CoreNLP 3.4.1, run by OpenJDK 17). The package brings 104 MB of Java
archives, so it is no dependency. On 40,000 texts strewn with abbreviations, quotation marks and
numbers, `words` was otherwise for 61, on 20,000 sentences of plain words for one; scores of 300
random captions were equal to 4e-16. On 2,000 random lines of numbers with signs, decimals and
ratios, stars, `ol'` and `'n'` it was equal later.
"""

from collections.abc import Sequence

import numpy as np
import pytest

from bench.core.language_types import Question
from bench.suite.metrics import CHOICE, CIDER, NAMES_OBJECT, VQA_ACCURACY, YES_NO, metric_of
from bench.tasks.answer_judges import match
from bench.tasks.answer_scores import build_scorer
from bench.tasks.chosen_letter import chosen_letter
from bench.tasks.cider import Cider
from bench.tasks.object_names import names_object
from bench.tasks.ptb_tokenizer import words
from bench.tasks.vqa import normalised, vqa_accuracy
from bench.tasks.yes_no import yes_no

TOKENISED = [
    ("A man riding a wave on top of a surfboard.", "a man riding a wave on top of a surfboard"),
    (
        "Don't you think it's the dog's bone? They'll've gone; I'd say we're OK!",
        "do n't you think it 's the dog 's bone they 'll 've gone i 'd say we 're ok",
    ),
    (
        'A black-and-white cat (sleeping) on a "red" couch.',
        "a black-and-white cat -lrb- sleeping -rrb- on a red couch",
    ),
    (
        "He said 'hello' to the man with a sign that says 'STOP'.",
        "he said hello to the man with a sign that says stop",
    ),
    (
        "Two dogs' bowls, 3.5 inches by 1,000 mm, cost $5.00 and 50% off.",
        "two dogs bowls 3.5 inches by 1,000 mm cost $ 5.00 and 50 % off",
    ),
    (
        "A clock reading 10:30 a.m. on St. James St.",
        "a clock reading 10:30 a.m. on st. james st.",
    ),
    ("A U.S. flag near Mr. Smith's house etc.", "a u.s. flag near mr. smith 's house etc."),
    ("An image of a cat/dog on the 1/2 pipe.", "an image of a cat/dog on the 1/2 pipe"),
    (
        "They cannot, gonna, wanna and gotta ain't won't can't.",
        "they can not gon na wan na and got ta ai n't wo n't ca n't",
    ),
    (
        "It's a photo... of something -- unknown - really \u2013 or \u2014 so\u2026",
        "it 's a photo of something unknown really or so",
    ),
    (
        "\u201cCurly quotes\u201d and \u2018single\u2019 it\u2019s don\u2019t",
        "curly quotes and single it 's do n't",
    ),
    (
        "A T-shirt with [brackets] and {braces} & more &amp; more",
        "a t-shirt with -lsb- brackets -rsb- and -lcb- braces -rcb- & more & more",
    ),
    (
        "3-year-old boy, #42 jersey @ home, #hashtag @user",
        "3-year-old boy # 42 jersey @ home #hashtag @user",
    ),
    ("The caf\xe9 is \xe0 la mode, na\xefve", "the caf\xe9 is \xe0 la mode na\xefve"),
    ("Number 10 and 2nd and 1990's and '90s", "number 10 and 2nd and 1990 's and '90s"),
    ("a man   with  spaces\ttab .", "a man with spaces tab"),
    ("What?! Really!!", "what ?! really !!"),
    (
        "A man in the sun. The sun is in. A No. 7 shirt, no. A bus to LA.",
        "a man in the sun the sun is in a no. 7 shirt no a bus to la.",
    ),
    ("A view of Miss. and a pretty miss. No. 5", "a view of miss. and a pretty miss no. 5"),
    ("Tabby vs., et al.: one", "tabby vs. et al. one"),
    (
        "tv's, TVs, o'clock, y'all, ma'am, 'em, 'tis rock'n'roll",
        "tv 's tvs o'clock y' all ma'am 'em 't is rock 'n' roll",
    ),
    ("a diner w/ neon, R&B, 4x4 10\u20ac \xa35", "a diner w / neon r&b 4x4 10 $ # 5"),
    (
        "www.example.com and http://a.b/c.html foo@bar.com",
        "www.example.com and http://a.b/c.html foo@bar.com",
    ),
    ("''Twice quoted''", "twice quoted"),
    ("", ""),
    ("...", ""),
    # numbers with signs, decimals and ratios; runs of stars; signs that the reference cannot read
    ("a 16:9 screen, 3:1:2 at 10:30am", "a 16:9 screen 3:1:2 at 10:30 am"),
    ("a 5'10 man of '76", "a 5 '10 man of '76"),
    (".5 inches at -5 degrees (+3.5)", ".5 inches at -5 degrees -lrb- +3.5 -rrb-"),
    ("5-10 men, 1990-2000 - 7", "5-10 men 1990-2000 7"),
    ("so...5 men -- 6", "so 5 men 6"),
    ("a Ph.D. student", "a ph.d. student"),
    ("ol' man, 'ol school' cool'", "ol' man ol school cool"),
    ("salt 'n' pepper, fish 'n chips", "salt 'n' pepper fish 'n chips"),
    ("** wow ** a * b", "** wow ** a * b"),
    ("a happy\U0001f600dog \U0001f44d\U0001f3fd", "a happy dog"),
    ("\u2764\ufe0f", "\u2764"),
    ("1,000mm of -5th :5 ,5", "1,000 mm of -5 th :5 ,5"),
    ("a 3.5-inch Ph.D", "a 3.5-inch ph.d"),
]
WAVE = "A man riding a wave on top of a surfboard."
CAPTIONED = [
    (
        (
            "A man rides a wave on a surfboard.",
            "A surfer in a black wetsuit on top of a wave.",
            "Someone surfing in the ocean.",
        ),
        WAVE,
        2.055596217030673,
    ),
    (
        (
            "A brown dog catches a frisbee in a park.",
            "The dog's catching a red frisbee.",
            "A dog leaps for a frisbee on the grass.",
        ),
        "A dog's catching a frisbee in the park.",
        2.883570755879364,
    ),
    (
        ("Two zebras stand in a grassy field.", "A pair of zebras graze on grass."),
        WAVE,
        0.01628099524817579,
    ),
    (
        (
            "A plate with a sandwich, fries (and a drink).",
            "A black-and-white plate of food on a table.",
        ),
        "A plate of food, with a sandwich and fries, on a table next to a drink and a glass of "
        "water",
        0.41056183325579343,
    ),
    (
        ("A bus parked on the side of the street.", "A red bus isn't moving down a street."),
        "A bus.",
        0.7768882021202734,
    ),
    (("A clock tower reads 10:30 in St. Louis.",), "", 0.0),
]


@pytest.mark.parametrize(("caption", "expected"), TOKENISED)
def test_words_are_those_of_the_reference(caption: str, expected: str) -> None:
    assert words(caption) == expected.split()


def test_cider_is_the_references() -> None:
    questions = [Question("", references) for references, _, _ in CAPTIONED]
    texts = [text for _, text, _ in CAPTIONED]
    found = Cider(questions)(texts, questions)
    assert found == pytest.approx([score for *_, score in CAPTIONED], abs=1e-9)
    # a part of the captions has the scores that it has among all
    assert Cider(questions)(texts[2:4], questions[2:4]).tolist() == found[2:4].tolist()
    scores = build_scorer(CIDER, questions, match)(texts, questions)
    assert scores.dtype == np.float32
    assert scores == pytest.approx(found)
    assert scores.max() < metric_of(CIDER).highest


def test_a_caption_that_is_its_only_reference_has_ten() -> None:
    questions = [Question("", ("A cat on a mat.",)), Question("", ("One dog in that grass.",))]
    texts = ["a cat on a mat", "a cat on a mat"]
    assert Cider(questions)(texts, questions) == pytest.approx([10, 0])


MOST = ("red",) * 7 + ("dark red",) * 2 + ("maroon",)


@pytest.mark.parametrize(
    ("text", "answers", "accuracy"),
    [
        ("red", MOST, 1.0),
        # leaving out one of the two leaves one that agrees, and eight times it leaves both
        ("dark red", MOST, (2 * 1 / 3 + 8 * 2 / 3) / 10),
        ("maroon", MOST, (0 + 9 * 1 / 3) / 10),
        ("blue", MOST, 0.0),
        ("", MOST, 0.0),
        ("The Red.", MOST, 1.0),
        ("2", ("two",) * 3 + ("3",) * 7, (3 * 2 / 3 + 7 * 1) / 10),
        ("dont know\n", ("don't know",) * 4 + ("yes",) * 6, 1.0),
        # where all agree to the letter the official code normalises nothing
        ("yes", ("yes",) * 10, 1.0),
        ("Yes.", ("yes",) * 10, 0.0),
        ("Yes.", ("yes",) * 9 + ("no",), 1.0),
    ],
)
def test_vqa_accuracy_by_hand(text: str, answers: Sequence[str], accuracy: float) -> None:
    assert vqa_accuracy(text, answers, "official") == pytest.approx(accuracy)
    question = Question("?", tuple(answers))
    assert build_scorer(VQA_ACCURACY, [question], match)([text], [question]) == pytest.approx(
        accuracy
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A red-and-white sign", "red and white sign"),  # between letters a mark is a space
        ("left / right", "left right"),  # beside a space it is nothing
        ("1,000 dollars?", "1000 dollars"),  # in a number all marks are nothing
        ("1,000-2,000", "10002000"),
        ("3.5 in.", "3.5 in"),
        ("none of TEN", "0 of 10"),
        ("couldnt've", "couldn't've"),
        ("oclock", "o'clock"),
        ("the an a", ""),
    ],
)
def test_normalised_as_the_official_code_does(text: str, expected: str) -> None:
    assert normalised(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Yes", "yes"),
        ("No, there is a cat.", "no"),
        ("There is not a dog in it", "no"),
        ("Yes, there is. No doubt.", "yes"),  # the first sentence alone
        ("NO", "yes"),  # as in POPE's own code
        ("Nothing", "yes"),
        ("", "yes"),
    ],
)
def test_yes_and_no_are_popes(text: str, said: str) -> None:
    assert yes_no(text) == said
    question = Question("?", ("yes",), decoy="no")
    assert build_scorer(YES_NO, [question], match)([text], [question]).tolist() == [
        float(said == "yes")
    ]


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        (" B\n", "B"),  # LLaVA strips what a model says
        ("B. a tooth", "B"),
        ("The answer is B.", "B"),
        ("The answer is B because", "B"),
        ("Hmm. The answer is C. The answer is D.", ""),
        ("The answer is F.", "F"),
        # none of these is an answer to LLaVA's script
        *((text, "") for text in ("b", "B.", "B.a", "B) a", "(B)", "F", "The answer is B", "")),
    ],
)
def test_letters_are_read_as_llava_does(text: str, letter: str) -> None:
    assert chosen_letter(text) == letter
    question = Question("?", ("B",))
    assert build_scorer(CHOICE, [question], match)([text], [question]).tolist() == [
        float(letter == "B")
    ]


@pytest.mark.parametrize(
    ("text", "names", "named"),
    [
        ("A grizzly bear sits in grass.", ("bear",), True),
        ("Two BEARS!", ("bear",), True),
        ("A beard", ("bear",), False),
        ("fire-hydrants at a kerb", ("fire hydrant",), True),
        ("fire in a hydrant", ("fire hydrant",), False),
        ("three men", ("man",), True),
        ("a woman", ("man",), False),
        ("the humans", ("human",), True),
        ("a person", ("people",), True),
        ("a pair of trousers", ("trouser",), True),
        ("a bus", ("buses",), True),
        ("some berries", ("berry",), True),
        ("a bike", ("bicycle", "bike"), True),
        ("a CAF\xc9", ("cafe",), True),
        ("the glasses", ("glass",), True),
        ("a bear\u2014a big one", ("bear",), True),
        ("bear\u2013like", ("bear",), True),
        ("a fire\u2011hydrant", ("fire hydrant",), True),
        ("a fire\u2010hydrant\u2026", ("fire hydrant",), True),
        ("fire\xa0hydrant", ("fire hydrant",), True),
        ("\u201cbear\u201d", ("bear",), True),
        ("bear\U0001f43bs", ("bear",), True),
        ("the bear\u2019s ear", ("bears",), True),
        ("cafe\u0301", ("caf\xe9",), True),
        ("two oxen", ("ox",), True),
        ("an ox", ("oxen",), True),
        ("a box", ("boxen",), False),
        ("boxes", ("box",), True),
        ("calves", ("calf",), True),
        ("a scarf", ("scarves",), True),
        ("scarfs", ("scarf",), True),
        ("wolf", ("calf",), False),
        ("anything", (), False),
        ("", ("bear",), False),
    ],
)
def test_names_are_whole_words(text: str, names: tuple[str, ...], named: bool) -> None:
    assert names_object(text, names) is named
    question = Question("?", (), names)
    assert build_scorer(NAMES_OBJECT, [question], match)([text], [question]).tolist() == [
        float(named)
    ]
