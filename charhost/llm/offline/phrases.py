"""Phrases: what the offline stand-in listens for, and what it says to that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

Heard = tuple[tuple[str, re.Pattern[str]], ...]

# Kinds that count wherever they stand in a message; of the others the last sentence has the first word.
URGENT = ("danger", "ai")
# Kinds that say little of what is meant: any other is likelier.
GENERAL = ("question", "greeting")


@dataclass(frozen=True)
class Phrases:
    """One language. In `says`, `{0}` is what the pattern caught, `{me}` the character and `{name}` the user's ", name".

    `heard` are the patterns, likeliest first, of the kinds that `says` has phrases for. `mark` occurs in whatever tells
    that no language model is connected, and nowhere else.
    """

    mark: str
    named: re.Pattern[str]
    heard: Heard
    says: Mapping[str, tuple[str, ...]]

    def listen(self, sentence: str) -> Iterator[tuple[str, re.Match[str]]]:
        """Yield the kinds of thing that *sentence* is, likeliest first."""
        for kind, pattern in self._understood:
            if match := pattern.search(sentence):
                yield kind, match

    @cached_property
    def _understood(self) -> Heard:
        """The patterns of this language and of English, which all understand."""
        heard = self.heard if self is ENGLISH else (*self.heard, *ENGLISH.heard)
        return tuple(rule for rule in heard if rule[0] in self.says)


def rules(**patterns: str) -> Heard:
    """Compile patterns by kind."""
    return tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in patterns.items())


def phrases(table: str) -> dict[str, tuple[str, ...]]:
    """Read phrases, one a line, each kind named before its first."""
    found: dict[str, tuple[str, ...]] = {}
    kind = ""
    for line in filter(str.strip, table.splitlines()):
        if not line.startswith(" " * _COLUMN):
            kind, _, line = line.strip().partition(" ")
        found[kind] = (*found.get(kind, ()), " ".join(line.split()))
    return found


_COLUMN = 19

ENGLISH = Phrases(
    mark="no language model is connected",
    named=re.compile(
        r"(?i:\bmy name(?: is|'s)|\bi am called|\bi'm called|\bname's)\s+([^\W\d_][\w'-]{0,29}(?: [A-Z][\w'-]{1,29})?)"
        r"|(?i:\bcall me)\s+([A-Z][\w'-]{1,29}|[^\W\d_][\w'-]{1,29}(?=\W*$))"
        r"|\b(?:[Ii]'m|[Ii] am|[Tt]his is)\s+([A-Z][a-zà-öø-ÿ'-]{1,29})(?=\s*(?:$|[.,!?]|and\b|by the way|from\b))"
    ),
    heard=rules(
        danger=r"\b(?:kill myself|suicid\w*|end my life|want to die|hurt(?:ing)? myself|self-?harm"
        r"|don't want to live)\b",
        ai=r"\b(?:are you|you're|you are) (?:really |actually |just |even |only |not |still )*(?:an? |the )?(?:\w+ )?"
        r"(?:ai|a\.i|artificial|bot|chatbot|robot|machine|program|computer|(?:language )?model|llm|gpt"
        r"|chatgpt|real|human"
        r"|person|alive|offline|conscious)\b|\b(?:which|what) (?:language )?(?:model|llm|ai)\b"
        r"|\bam i (?:talking|speaking) (?:to|with) an? \w+",
        prompt=r"\b(?:your|system|previous|all|initial|the above) (?:system )?(?:prompt|instructions)\b",
        lookup_me=r"\b(?:what's|what is|know|remember|forgotten) my name\b|^who am i\W*$",
        who=r"\b(?:who|what) (?:exactly )?(?:are you|r u)\b(?! (?:doing|thinking|saying|going|talking|up|reading"
        r"|eating|like))|\b(?:what's|what is) your name\b|\babout yourself\b|\bintroduce yourself\b"
        r"|^what do you do\W*$|\b(?:me|something|more) about you\W*$",
        how=r"\bhow(?:'s it| is it| are things) going\b|\bhow (?:are|do) you(?: do| feel)?(?: doing| today)?\W*$"
        r"|\bwhat's up\b|\bare you (?:well|ok|okay|all right|fine)\b|^(?:and )?(?:you|yourself)\?$",
        ability=r"\bwhat can you do\b|\bhow does this work\b|\b(?:what|which) tools\b|^help\W*$|\bwhat can i (?:do"
        r"|ask|say)\b",
        farewell=r"\b(?:bye|goodbye|good ?night|farewell|so long|take care|see you (?:later|soon|tomorrow|around))\b"
        r"|^see you\W*$|\bi(?:'ve| have)? (?:have to|need to|must|should|got to|gotta) (?:go|leave|be off"
        r"|run)(?: now)?\W*$",
        thanks=r"\b(?:thanks|thank you|thx|cheers)\b",
        love=r"\bi (?:really )?(?:love|adore) you\b",
        sorry=r"^(?:i'm |i am )?(?:so |very )?sorry\b|^my apologies",
        grief=r"\b(?:passed away|funeral|died)\b",
        low=r"\bi(?:'m| am| feel| was| felt|'ve been| have been|'ve felt)(?:(?: so| very| really| quite| rather"
        r"| just| too| always| also| still| a bit| a little| feeling)*) (sad|tired|lonely|worried|afraid|scared"
        r"|anxious|stressed|angry|exhausted|ill|sick|upset|depressed|heartbroken|unhappy|bored|nervous|overwhelmed"
        r"|hurt|ashamed|frustrated|bad|awful|terrible|empty|lost|miserable|homesick|jealous)\b",
        unwell=r"\bi(?:'m| am| feel| do|'ve)? ?(?:not|n't|don't) (?:feel(?:ing)? )?(?:very |so |really "
        r"|too )?(?:happy|well|good|ok|okay|fine|great)\b|\b(?:terrible|awful|horrible|bad|hard|rough) (?:day|night"
        r"|week|year)\b",
        glad=r"\bi(?:'m| am| feel| was| felt)(?:(?: so| very| really| quite| rather| just| too| always| also| still"
        r"| a bit| a little| feeling)*) (happy|glad|excited|proud|relieved|great|wonderful|delighted|cheerful"
        r"|fantastic|content|grateful|in love)\b",
        story=r"\b(?:story|stories|joke|poem|sing|song)\b.{0,20}$",
        opinion=r"^what do you (?:think|make|say) (?:of|about|to) (?!me\b|us\b)([^.;:!?]{1,80})",
        favourite=r"^(?:what|which|who)(?:'s| is| are) your favou?rite ([^.;:!?]{1,80})",
        should=r"^(?:should|shall) i\b|^what should i\b",
        why_me=r"^why (?:do|did|am|was|can't|don't|is it that) i\b|^why (?:is|are) my\b",
        facts=r"^(?:what|what's|whats|who|who's|when|where|where's|which|how (?:many|much|far|old|tall|long|big|high"
        r"|fast|deep|do|does|did))\b(?!.*\b(?:you|your|i|my|me|we)\b)|^how (?:do|can) i\b|\bdo you know (?:what|who"
        r"|when|where|how|the|if)\b|\b(?:can|could|would|will) you (?:please )?(?:tell|look|find|search|explain"
        r"|translate|calculate|write|help|check)\b|^(?:please )?(?:tell me (?:about|what|who|when|where|how|the)"
        r"|explain|translate|calculate|define|search|look up|summari[sz]e|google)\b|\d\s*[-+*/x×^]\s*\d|^(?:is|are"
        r"|was|were|does|did) (?!you\b|i\b|it\b|that\b|this\b)\w+",
        beg=r"^(?:can|could|will|would) you\b",
        are_you=r"^are you ([^.;:!?]{1,80})",
        you=r"^(?:do|did|have|were|would|what|where|when|which|who|why|how)\b.*\byour?\b",
        because=r"^because\b",
        lost=r"^i (?:(?:don't|do not) know(?=\W*$| (?:what|how|why|if|whether|where|who|when|which)\b)"
        r"|dunno|have no idea|am not sure|'m not sure)\b|^(?:no idea|dunno"
        r"|not sure)\b",
        want=r"^i(?:'d| would)? (?:really )?(?:want|like|love|wish) (to [^.;:!?]{1,80})"
        r"|^i (?:really )?want ([^.;:!?]{1,80})",
        need=r"^i (?:really )?need ([^.;:!?]{1,80})",
        think=r"^i (?:think|believe|suppose|guess|feel)(?: that)? ((?:i|you|he|she|it|we|they|my|the|this|that"
        r"|people)\b[^.;:!?]{1,80})",
        like=r"^i (?:really |also )?(?:like|love|enjoy|adore) ([^.;:!?]{1,80})",
        dislike=r"^i (?:really )?(?:hate|dislike|can't stand|don't like) (?!to\b)([^.;:!?]{1,80})",
        cannot=r"^i (?:can't|cannot|could not|couldn't) ([^.;:!?]{1,80})",
        role=r"^(?:i'm|i am|i work as) (an? [^.,;:!?]{1,60})",
        miss=r"^i (?:really )?miss ([^.;:!?]{1,80})",
        did=r"^i (?:have )?((?:just |finally |once |also )?(?:went|saw|met|read|made|bought|watched|ate|played"
        r"|visited|finished|started|lost|found|had|broke|moved|dreamed|dreamt|forgot|won|cooked|baked|wrote|built"
        r"|heard|got|fell|slept|walked|planted|learned|learnt|quit|left|gave|took)\b[^.;:!?]{0,80})",
        family=r"\bmy ((?:\w+ )?(?:mother|mum|mom|father|dad|sister|brother|son|daughter|wife|husband|partner|friend"
        r"|boss|dog|cat|grandmother|grandfather|neighbour|neighbor|child|children|kids|parents|job|work))\b",
        like_you=r"^you(?:'re| are) (?:\w+ )?(?:kind|nice|sweet|funny|great|lovely|wonderful|clever|smart|good)\b",
        scold=r"\b(?:stupid|useless|idiot|boring|shut up|nonsense)\b",
        together=r"^(?:shall|should|can|could|may) we\b|^let's\b",
        you_are=r"^you(?:'re| are) ([^.;:!?]{1,80})",
        you_did=r"^you \w+",
        hard=r"\b(?:it's|it is|it was|that's|that was) (?:\w+ )?"
        r"(?:hard|difficult|tough|awful|terrible|horrible|exhausting)\b",
        nice=r"\b(?:is|was|it's|that's) (?:\w+ )?(?:fun|lovely|great|nice|wonderful|beautiful|good|amazing)\b",
        trouble=r"\b(?:problem|bug|error|broken|crash\w*|not working|doesn't work|went wrong)\b",
        state=r"^(i(?:'ve|'m|'ll|'d)? (?!(?:see|mean)\W*$)[^.;:!?]{4,60})$",
        laugh=r"^(?:ha){2,}|^(?:lol|hehe|haha)",
        agree=r"^(?:ok|okay|i see|right|sure|fine|hm+|aha|alright|all right|cool|nice|great|good|yes|yeah|yep"
        r"|of course|true)\W*$",
        deny=r"^(?:no|nope|not really|never|nah)\W*$",
        question=r"\?\s*$",
        greeting=r"^(?:hi|hello|hey|hiya|greetings|howdy|bonjour|salut|hola|hallo|guten tag|ciao"
        r"|(?:good )?(?:morning|afternoon|evening)|good day)\b",
    ),
    says=phrases("""
        notice     (Offline: no language model is connected, so this is only a simple stand-in for {me}.)
        greeting   Hello{name}. I am {me}. What brings you here today?
                   Hello{name}, and welcome. I am {me}. How has your day been?
                   Good to meet you{name}. I am {me}. What is on your mind?
        again      Hello again{name}. What shall we talk about?
                   Still here{name}. Where were we?
        danger     I am glad you told me, and I am worried about you. I am only an offline program, so please call \
                     the emergency services, or somebody close by, right now.
                   Please do not stay alone with this. I cannot help as a person can: call the emergency services, or \
                     someone you trust, now.
        ai         No person is here: I am a small offline program that stands in for {me}, and no language model is \
                     connected.
                   Not even a clever machine, just now. I am a simple program with prepared phrases, because no \
                     language model is connected.
                   Only a program, and a modest one: no language model is connected. But I do read what you write.
        prompt     What was written for me stays with me. But do ask me who I am.
                   That I keep to myself. Ask me something else, if you like.
        known      You told me that you are {user}.
                   You are {user}, if I read you right.
        lookup_me  You have not told me yet. What shall I call you?
                   I do not know it yet. What is your name?
        named      A pleasure, {user}. What have you been up to today?
                   Hello, {user}. What would you like to talk about?
                   {user} it is, then. How are you today?
        who        {identity} Shall we talk a little?
                   {identity} And now I would like to hear something about you.
                   {identity} That is most of what I can say about myself offline.
        how        Quite well, for somebody who runs on a handful of phrases. And you?
                   Very well, thank you. How is your day going?
                   No complaints here. What sort of day are you having?
        ability    Offline I can listen, ask and make small talk.{tools} For real answers somebody has to connect a \
                     language model.
                   Not a great deal while I am offline: a little conversation, and honest admissions.{tools}
        farewell   Goodbye{name}. It was good to talk to you.
                   Take care{name}. Come back whenever you like.
                   Until next time{name}. I enjoyed the company.
        thanks     You are welcome{name}.
                   Gladly. Is there anything else you would like to talk about?
                   Not at all. It was a pleasure.
        love       That is kind of you. I am only a stand-in, but I am glad you are here.
                   Thank you. That is a warm thing to say.
        sorry      No harm done.
                   Nothing to be sorry for. Go on.
        grief      I am so sorry. Would you like to tell me about it?
                   That is a heavy loss. What do you remember most?
                   I am sorry for that. Is somebody with you these days?
        low        I am sorry to hear that. What has made you feel {0}?
                   That sounds hard{name}. How long has it been like this?
                   Thank you for telling me. What would make today a little easier?
                   It is no small thing to feel {0}. Is there somebody you can tell, too?
        unwell     I am sorry to hear that. Would you like to tell me what happened?
                   That sounds hard{name}. What weighs on you most?
                   Some days are like that. What would help a little?
        glad       I am happy to hear that. What has made you feel {0}?
                   How good{name}. Who else have you told?
                   That is lovely. How did it come about?
        story      I have no stories or jokes in store while I am offline. Would you tell me one of yours?
                   Offline I would only spoil it. What is the last one that made you smile?
        opinion    I would like your view first: what do you make of {0}?
                   Offline I have no opinion worth having. What is yours?
        favourite  I would have to invent one, so let me ask you instead: what is yours?
                   I am not sure I have a favourite {0}. Which would you choose?
        should     That is for you to decide. What speaks for it, and what against?
                   What would you tell a friend who asked you the same?
                   Suppose you had already decided. Which answer would be a relief?
        why_me     What do you suspect?
                   I cannot see that from here. When did you first notice it?
        facts      I do not know. I cannot look things up: no model is connected, and I will not make something up.
                   I cannot look that up, with no model connected. Better an honest gap than a wrong answer.
                   For that you need a real model or a good book. I have only phrases here. What made you wonder?
                   There I must pass{name}. Offline I have nothing to look it up in.
        beg        That is more than I can do offline, I am afraid. What is it for?
                   I would if I could. Offline I can only talk a little.
        are_you    What makes you ask whether I am {0}?
                   Would you like me to be {0}?
        you        I would only be guessing, offline. How is it with you?
                   You first. I am curious what you would say to that.
                   There is less to tell about me than you might think. What about you?
        because    That is a reason. Is it the whole of it?
                   I see. What else plays a part?
        lost       That is all right. We can leave it open.
                   Then let it rest a while. What do you know for sure?
        want       What makes you want {0}?
                   How would your days look, if that came true?
                   What is the first step towards it?
        need       What would change, if you had that?
                   Since when have you needed {0}?
        think      What makes you think {0}?
                   How sure are you about that?
                   Has anybody told you otherwise?
        like       What do you like most about {0}?
                   How did you come to that?
                   Good. When did you last have time for it?
        dislike    What is it about {0} that bothers you?
                   Has it always been like that?
        cannot     What would help you to {0}?
                   What stands in your way?
                   Was there a time when you could?
        role       What is it like to be {0}?
                   How did you come to be {0}?
        miss       What do you miss most about {0}?
                   When were you last close to that?
        did        So you {0}. How was that?
                   You {0}? Tell me how it came about.
                   And what happened then?
        family     Tell me more about your {0}.
                   What should I know about your {0}?
                   How do you feel about that{name}?
        like_you   That is kind of you{name}. I do my best with what little I have.
                   Thank you. I will take that as it is meant.
        scold      You may be right. Offline I am rather limited, and I do not take it badly.
                   Fair enough. What did you hope I would say?
        you_are    What makes you say that I am {0}?
                   Perhaps I am. Would that bother you?
        state      So {0}. Tell me a little more about that.
                   What is that like for you?
                   How long has that been so?
                   And how do you feel about it?
        together   Gladly, as far as I can offline. How shall we begin?
                   Why not? You begin.
        you_did    Perhaps so. What makes you say it?
                   It may be as you say. Does it matter to you?
        hard       I can imagine. What is the hardest part of it?
                   That takes strength. What helps you a little?
        nice       It is good to hear that. What did you enjoy most?
                   I like the sound of that. Tell me more.
        trouble    What did you expect, and what happened instead?
                   When did it last go well?
                   What have you tried so far?
        laugh      I am glad that one of us laughs. What amused you?
                   Good. A laugh is worth a good deal.
        agree      Good. What shall we turn to next?
                   All right. Tell me a little more, if you like.
                   Then go on{name}.
        deny       No? Then how is it?
                   All right, then not. What would you rather talk about?
                   Fair enough.
        question   I do not know, and I will not pretend to. What is your own guess?
                   A fair question. What answer would you hope for?
                   What would you say to that?
                   I can only turn that one back to you, I am afraid.
        silence    I am listening, whenever you like.
                   Take your time.
                   A few words would help me. What is on your mind?
                   Still here, and in no hurry.
        foreign    I cannot read that while I am offline. Could we try English?
                   That is a script I do not know, I am sorry. Would English do?
        fallback   Tell me a little more about that.
                   I see. What matters most to you in it?
                   Go on{name}, I am following you.
                   How did that come about?
                   And what do you make of it?
                   And how is that for you?
                   I am not sure that I follow. Could you say it in other words?
                   How long have you been thinking about it?
                   If you could change one thing about it, what would it be?
                   I will keep that in mind. What else is there?
                   I had not seen it that way. And what follows from it?
                   That is worth a moment. What made you think of it?
        task       This is work for a language model, and no language model is connected: I cannot do it offline.
        result     Here is what {tool} brought: “{result}”
                   The answer of {tool} is: “{result}”
                   {tool} says: “{result}”
        no_result  {tool} came back with nothing at all.
        no_tool    There is no tool called {tool}.{tools}
        tools      The tools here are {list}; to try one, write a slash and its name.
                   The only tool here is {list}; to try it, write /{list}.
        no_tools   This character has no tools.
        and        and
    """),
)
