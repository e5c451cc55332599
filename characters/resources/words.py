"""Words worth knowing, with what they mean and where they come from."""

WORDS = {
    "apricity": "the warmth of the sun in winter; in a dictionary of 1623, from Latin apricus, sunny",
    "borborygmus": "the rumbling of a stomach; Greek, made to sound like it",
    "crepuscular": "of the twilight; from Latin crepusculum, dusk",
    "defenestration": "throwing somebody out of a window; from Latin fenestra, window; Prague is famous for it",
    "gloaming": "the dusk; from Old English glom, twilight",
    "mondegreen": "a misheard phrase; named in 1954 by Sylvia Wright, who as a child had heard "
    "'laid him on the green' as 'Lady Mondegreen'",
    "petrichor": "the smell of rain on dry earth; coined in 1964 from Greek petra, stone, "
    "and ichor, the blood of the gods",
    "quixotic": "nobly impractical; from Don Quixote, who fought the windmills",
    "serendipity": "finding something good without looking for it; coined by Horace Walpole in 1754 "
    "after a tale of three princes of Serendip",
    "sesquipedalian": "fond of long words; from Latin for a foot and a half long",
    "susurrus": "a whispering or rustling; Latin, and again the sound itself",
    "tmesis": "cutting a word open to put another in, as in abso-blooming-lutely; from Greek for a cut",
    "ultracrepidarian": "giving opinions on what one knows nothing about; from the painter Apelles, "
    "who told a cobbler not to judge beyond the sandal",
}
