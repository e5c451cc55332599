"""The questions of the quiz show."""

from typing import NamedTuple


class Question(NamedTuple):
    """A question, its answer, and something to tell once it is solved."""

    text: str
    answer: str
    story: str


QUESTIONS = (
    Question("Which planet turns more slowly than it goes round the sun?", "Venus", "One turn takes 243 of our days."),
    Question("How many hearts does an octopus have?", "three", "Two of them serve only the gills."),
    Question("Which letter is in the name of no state of the USA?", "Q", "J and Z have one state each."),
    Question("Which country has the longest coastline?", "Canada", "Most of it goes round islands."),
    Question("From which museum was the Mona Lisa stolen in 1911?", "the Louvre", "The police questioned Picasso."),
    Question("What is a flock of crows called in English?", "a murder", "A group of owls is a parliament."),
    Question("Which metal is liquid at room temperature?", "mercury", "Its symbol, Hg, is Greek for water-silver."),
    Question("What is the smallest country in the world?", "Vatican City", "It is under half a square kilometre."),
    Question("Which instrument usually has 47 strings and seven pedals?", "the concert harp", "The C strings are red."),
    Question("Who wrote Frankenstein?", "Mary Shelley", "She began it when she was eighteen."),
    Question("Which bird can fly backwards?", "the hummingbird", "It can also hover in one place."),
    Question("What is a diamond made of?", "carbon", "So is the graphite in a pencil."),
    Question("Which gas makes up most of the air?", "nitrogen", "It is about 78 per cent; oxygen is 21."),
    Question("How many small squares are there on a chessboard?", "64", "Counting squares of every size, it is 204."),
    Question("Which ocean is the deepest?", "the Pacific", "The Challenger Deep lies almost eleven kilometres down."),
    Question("What is the capital of Australia?", "Canberra", "It was a compromise between Sydney and Melbourne."),
    Question("Which tree-living animal has fingerprints much like ours?", "the koala", "Even a microscope is fooled."),
    Question("How many minutes does sunlight take to reach us?", "about eight", "Eight minutes and twenty seconds."),
    Question("Who painted the ceiling of the Sistine Chapel?", "Michelangelo", "He called himself a sculptor."),
    Question("Which ancient wonder of the world still stands?", "the Great Pyramid of Giza", "It is also the oldest."),
    Question("Which mammal can truly fly?", "the bat", "About one mammal species in five is a bat."),
    Question("In which country were the first modern Olympic Games held?", "Greece", "It was in Athens, in 1896."),
    Question("What colour is the blood of a horseshoe crab?", "blue", "It carries oxygen with copper, not iron."),
    Question("How many strings does a violin have?", "four", "They are tuned to G, D, A and E."),
)
