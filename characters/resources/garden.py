"""What the gardener has written down over the years; for a temperate climate."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plant:
    """One page of the notebook."""

    name: str
    sow: str
    needs: str
    trouble: str


PLANTS = (
    Plant(
        name="Tomatoes",
        sow="indoors, six to eight weeks before the last frost",
        needs="the sunniest wall, a stake, and water at the root, evenly",
        trouble="split or black-bottomed fruit after uneven watering; blight in a wet summer",
    ),
    Plant(
        name="Runner beans",
        sow="outdoors once the soil is warm and the frosts are over",
        needs="tall poles, rich soil, and picking every other day",
        trouble="slugs on the seedlings; few pods when it is hot and dry",
    ),
    Plant(
        name="Garlic",
        sow="single cloves in autumn, pointed end up",
        needs="sun, drainage, and a cold winter to split into cloves",
        trouble="rust on the leaves; rot in soggy ground",
    ),
    Plant(
        name="Lettuce",
        sow="a short row every two weeks from spring on",
        needs="cool weather, half shade in summer, steady water",
        trouble="bolts and turns bitter in heat; slugs",
    ),
    Plant(
        name="Courgettes",
        sow="indoors in late spring, out after the last frost",
        needs="a square metre each and plenty of compost; two plants feed a street",
        trouble="mildew late in summer; small fruit rots when bees are few",
    ),
    Plant(
        name="Carrots",
        sow="straight where they will grow, in fine, stone-free soil",
        needs="thinning, and no fresh manure",
        trouble="carrot fly, kept off by a fine net; forked roots in stony ground",
    ),
    Plant(
        name="Lavender",
        sow="buy or take cuttings in summer; seed is slow",
        needs="full sun, poor gritty soil, a trim after flowering but never into old wood",
        trouble="wet feet in winter",
    ),
    Plant(
        name="Mint",
        sow="a piece of root in spring, always in a pot",
        needs="half shade and moisture",
        trouble="it takes the whole bed if you let it out",
    ),
)
