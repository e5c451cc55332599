"""Translations: the phrases of other languages than English, and which of them a character speaks."""

from __future__ import annotations

import re
from typing import Any

from charhost.llm.offline.phrases import ENGLISH, Phrases, phrases, rules


def code(language: Any) -> str:
    """Reduce a language such as "fr-CA" to the two letters that are known here, else to "en"."""
    found = re.match(r"\s*([a-z]{2})(?![^\W_])", language, re.IGNORECASE) if isinstance(language, str) else None
    return found[1].lower() if found and found[1].lower() in _LANGUAGES else "en"


def phrases_for(language: Any) -> Phrases:
    """Find the phrases for a language; English is for all that are not known here."""
    return _LANGUAGES[code(language)]


FRENCH = Phrases(
    mark="aucun modèle de langue n’est connecté",
    named=re.compile(
        r"(?i:\bje m'appelle|\bmon (?:nom|prénom)(?: est|, c'est)|\bappelle[sz]?-moi)\s+([^\W\d_][\w'-]{1,29})"
        r"|\b(?:[Jj]e suis|[Mm]oi,? c'est)\s+([A-ZÀ-Ý][a-zà-ÿ'-]{1,29})(?=\s*(?:$|[.,!?]|et\b|au fait))"
    ),
    heard=rules(
        danger=r"\b(?:me tuer|suicid\w*|envie de mourir|veux mourir|en finir|me faire du mal)\b",
        ai=r"\b(?:es-tu|êtes-vous|t'es|tu es|c'est) (?:vraiment )?(?:une? |la )?(?:vrai\w* )?(?:ia|intelligence"
        r"|robot|machine|modèle|programme|humain\w*|personne|réel\w*|vraie?|vivante?)\b",
        prompt=r"\b(?:prompt|consignes|tes instructions)\b",
        lookup_me=r"\b(?:comment je m'appelle|c'est quoi mon (?:nom|prénom)|quel est mon (?:nom|prénom))\b"
        r"|\bqui suis-je\b",
        who=r"\b(?:qui|qu')\s*(?:es-tu|êtes-vous|est-ce que tu es)|\bt'es qui\b|\bcomment (?:tu t'appelles"
        r"|t'appelles-tu)\b|\b(?:ton|votre) nom\b|\bprésente-toi\b|\bparle-moi de toi\b",
        how=r"\b(?:comment|ça) (?:ça )?va(?:s-tu|s|-t-il)?\b.*\?|\b(?:comment vas-tu|comment allez-vous|tu vas bien"
        r"|quoi de neuf)\b|^et (?:toi|vous)\?$",
        ability=r"\bque (?:sais|peux)-tu faire\b|\bquels outils\b|^aide\W*$|\btu peux faire quoi\b"
        r"|\bqu'est-ce que tu (?:sais|peux) faire",
        farewell=r"\b(?:au revoir|adieu|à bientôt|à demain|à plus|bonne nuit|salut, à)\b|\bje (?:dois"
        r"|vais) (?:y aller|partir|filer)\b",
        thanks=r"\bmerci\b",
        grief=r"\b(?:est mort|est morte|est décédée?|enterrement|obsèques)\b",
        low=r"\bje (?:suis|me sens|me sentais|étais)(?: (?:très|si|vraiment|un peu|trop|assez|bien"
        r"|toujours))* (?:trist\w*|fatigué\w*|seule?|inqui\w*|stressé\w*|perdue?|malade|épuisé\w*|mal|déprimé\w*"
        r""
        r"|anxieu\w*|décourag\w*|déçue?|frustr\w*|en colère)\b|\bj'ai peur\b|\bça ne va pas\b|\bje ne (?:vais"
        r"|suis|me sens) pas (?:très "
        r"|trop )?(?:bien|heureu\w*)",
        glad=r"\bje (?:suis|me sens)(?: (?:très|si|vraiment|trop))* (?:heureu\w*|content\w*|fière?|soulagé\w*|ravie?"
        r"|amoureu\w*)\b|^(?:ça va )?(?:très )?bien\b",
        facts=r"\b(?:combien|quelle heure|quel temps|quelle est|quel est|c'est quoi|qu'est-ce qu[e'](?! tu)"
        r"|explique\w*|traduis|calcule|cherche|où (?:est|se)|quand (?:est|a)|qui (?:est|a))\b(?!.*\b(?:tu|toi|ton"
        r"|ta)\b)|\d\s*[-+*/x×]\s*\d",
        opinion=r"\b(?:tu|vous) (?:en )?pense[sz]\b|\bpenses-tu\b|\bà ton avis\b",
        why_me=r"^pourquoi\b",
        want=r"\bje (?:veux|voudrais|aimerais)\b",
        like=r"\b(?:j'aime|j'adore)\b",
        dislike=r"\bje (?:déteste|n'aime pas)\b",
        lost=r"\bje ne sais pas\b|\bje sais pas\b|\baucune idée\b",
        you=r"^(?:tu|vous) (?!es\b|êtes\b).*\?\s*$|\b(?:aimes|as|peux|veux|fais|connais|crois)-tu\b",
        trouble=r"\b(?:bug|bogue|erreurs?|problèmes?|plante|panne|marche pas|fonctionne pas)\b",
        state=r"^(?:je |j')(?!.*\?\s*$)",
        agree=r"^(?:oui|d'accord|ok|bien sûr|super|parfait|je vois|ah bon)\W*$",
        deny=r"^(?:non|pas vraiment|jamais)\W*$",
        question=r"\?\s*$",
        greeting=r"^(?:bonjour|bonsoir|salut|coucou)\b",
    ),
    says=phrases("""
        notice     (Hors ligne : aucun modèle de langue n’est connecté, et c’est un simple programme qui remplace {me}.)
        greeting   Bonjour{name} ! Je suis {me}. Qu’est-ce qui t’amène ?
                   Bonjour{name}, et bienvenue. Moi, c’est {me}. Comment se passe ta journée ?
                   Salut{name} ! Ici {me}. De quoi as-tu envie de parler ?
        again      Rebonjour{name}. De quoi veux-tu parler ?
                   Toujours là{name}. Où en étions-nous ?
        danger     Tu as bien fait de me le dire, et cela m’inquiète. Je ne suis qu’un programme hors ligne : appelle \
                     tout de suite les secours, ou quelqu’un de proche.
                   Ne reste pas sans personne avec cela, s’il te plaît. Appelle les secours, ou quelqu’un en qui tu \
                     as confiance.
        ai         Il n’y a personne ici : je suis un petit programme hors ligne, et aucun modèle de langue n’est \
                     connecté.
                   Rien qu’un programme, et plutôt modeste : aucun modèle de langue n’est connecté.
        prompt     Ce qu’on a écrit pour moi, je le garde pour moi. Demande-moi plutôt qui je suis.
        known      Tu m’as dit que tu t’appelles {user}.
                   {user}, si j’ai bien lu.
        lookup_me  Tu ne me l’as pas encore dit. Comment t’appelles-tu ?
                   Je ne le sais pas encore. Quel est ton prénom ?
        named      Bonjour, {user}. Que fais-tu de beau ?
                   Bienvenue, {user}. Comment vas-tu ?
        who        {identity} Parlons un peu, si tu veux.
                   {identity} Et toi, que fais-tu de tes journées ?
                   {identity} Hors ligne, je n’en sais guère plus sur moi.
        how        Très bien, pour un programme qui tient en quelques phrases. Et toi ?
                   Pas à me plaindre, merci. Et ta journée ?
        ability    Hors ligne, je peux écouter, poser des questions et bavarder un peu.{tools}
                   Pas grand-chose sans modèle : un peu de conversation, et de la franchise.{tools}
        farewell   Au revoir{name}, et à bientôt.
                   À la prochaine{name}. C’était bien de parler avec toi.
                   Prends soin de toi{name}.
        thanks     Je t’en prie{name}.
                   Avec plaisir. Autre chose dont tu voudrais parler ?
                   De rien du tout.
        grief      Je suis de tout cœur avec toi. Veux-tu m’en parler ?
                   C’est une lourde perte. Quel souvenir te revient ?
        low        Je comprends que ce soit dur. Qu’est-ce qui pèse le plus ?
                   Merci de me le dire{name}. Depuis quand est-ce comme ça ?
                   Ce n’est pas rien. Qu’est-ce qui te ferait un peu de bien ?
        glad       Cela fait plaisir à lire. Qu’est-ce qui t’a mis de bonne humeur ?
                   Quelle bonne nouvelle{name}. À qui l’as-tu déjà raconté ?
        facts      Je ne sais pas. Je ne peux rien chercher : aucun modèle n’est connecté, et je préfère ne rien \
                     inventer.
                   Pour cela il faudrait un vrai modèle, ou un bon livre. Hors ligne, je n’ai que des phrases toutes \
                     faites.
                   Là, je passe{name}. Hors ligne, je n’ai rien pour vérifier.
        opinion    Dis-moi d’abord ce que tu en penses, toi.
                   Hors ligne, je n’ai pas d’avis qui vaille. Quel est le tien ?
        why_me     Bonne question. As-tu déjà une idée ?
                   Je ne peux pas le savoir d’ici. Depuis quand le remarques-tu ?
        want       Qu’est-ce que cela changerait pour toi ?
                   Et quel serait le premier pas ?
        like       Qu’est-ce qui te plaît le plus là-dedans ?
                   Comment est-ce que ça a commencé ?
        dislike    Qu’est-ce qui te gêne le plus ?
                   Est-ce que ça a toujours été ainsi ?
        lost       Ce n’est pas grave, on peut laisser la question ouverte.
                   Alors laissons reposer. Qu’est-ce qui est certain, au moins ?
        you        Toi d’abord : qu’en dirais-tu ?
                   Hors ligne, je ne ferais que deviner. Et pour toi, c’est comment ?
        trouble    À quoi t’attendais-tu, et qu’est-ce qui s’est passé ?
                   Qu’est-ce que tu as déjà essayé ?
                   Quand est-ce que ça marchait encore ?
        state      Et comment ça se passe ?
                   Qu’est-ce que cela te fait ?
                   Qu’est-ce qui t’a mis sur cette voie ?
        agree      Bien. Et ensuite ?
                   D’accord. Raconte-m’en un peu plus, si tu veux.
        deny       Non ? Alors comment dirais-tu ?
                   Soit. De quoi préfères-tu parler ?
        question   Je n’en sais rien, et je ne vais pas faire semblant. Qu’en dirais-tu, toi ?
                   Quelle réponse espères-tu ?
                   Je te retourne la question, faute de mieux.
        silence    Je t’écoute, quand tu veux.
                   Prends ton temps.
                   Quelques mots m’aideraient. À quoi penses-tu ?
        foreign    Je ne sais pas lire cela hors ligne. On essaie en français ?
        fallback   Raconte-m’en un peu plus.
                   Je vois. Qu’est-ce qui compte le plus pour toi là-dedans ?
                   Continue{name}, je te suis.
                   Comment est-ce arrivé ?
                   Et qu’en penses-tu, au fond ?
                   Que s’est-il passé ensuite ?
                   Je ne te suis pas tout à fait. Tu peux le dire autrement ?
                   Si tu pouvais y changer une chose, ce serait laquelle ?
                   Qu’est-ce qui t’a surpris dans tout cela ?
                   Je garde cela en tête. Quoi d’autre ?
        task       C’est un travail pour un modèle, et aucun modèle de langue n’est connecté : hors ligne, je ne peux \
                     pas le faire.
        result     Voici ce que donne {tool} : « {result} »
                   {tool} répond : « {result} »
        no_result  {tool} n’a rien renvoyé du tout.
        no_tool    Il n’y a pas d’outil appelé {tool}.{tools}
        tools      Les outils d’ici sont {list} ; pour en essayer un, écris une barre oblique et son nom.
                   Le seul outil d’ici est {list} ; pour l’essayer, écris /{list}.
        no_tools   Ce personnage n’a pas d’outils.
        and        et
    """),
)

GERMAN = Phrases(
    mark="kein Sprachmodell verbunden",
    named=re.compile(r"(?i:\bich hei(?:ß|ss)e|\bmein name ist|\bnenn(?:e|en sie)? mich)\s+([^\W\d_][\w'-]{1,29})"),
    heard=rules(
        danger=r"\b(?:mich umbringen|selbstmord|suizid\w*|will sterben|nicht mehr leben|mir etwas antun)\b",
        ai=r"\b(?:bist du|sind sie) (?:wirklich |echt )?(?:eine? )?(?:echte?r? )?(?:ki|roboter|maschine|modell"
        r"|sprachmodell|programm|mensch|echt|bot|computer)\b",
        prompt=r"\b(?:prompt|anweisungen)\b",
        lookup_me=r"\bwie hei(?:ß|ss)e ich\b|\bwie ist mein name\b|\bwer bin ich\b",
        who=r"\b(?:wer|was) (?:bist du|sind sie)\b|\bwie hei(?:ß|ss)t du\b|\bdein name\b|\bstell dich vor\b"
        r"|\bvon dir\b",
        how=r"\bwie geht(?:'s|s| es)\b|^und (?:dir|du|ihnen)\?$",
        ability=r"\bwas kannst du\b|\bwelche werkzeuge\b|^hilfe\W*$",
        farewell=r"\b(?:tschüss|tschüs|auf wiedersehen|bis (?:bald|morgen|später|dann)|gute nacht|ich muss (?:los"
        r"|gehen|weg))\b",
        thanks=r"\b(?:danke|vielen dank)\b",
        low=r"\b(?:ich bin|ich fühle mich)(?: (?:so|sehr|ziemlich|etwas|wirklich|ein bisschen))* (?:traurig|müde"
        r"|einsam|krank|allein|wütend|gestresst|erschöpft|schlecht|unglücklich)\b|\bich habe angst\b|\bmir geht(?:'s"
        r"| es) (?:nicht gut|schlecht)\b",
        glad=r"\bich (?:bin|fühle mich)(?: (?:so|sehr|wirklich))* (?:froh|glücklich|stolz|erleichtert|gut"
        r"|verliebt)\b|\bich freue mich\b",
        facts=r"^(?:wie viel\w*|wie spät|wie (?:hoch|alt|weit|groß)|was (?:ist|sind|kostet|bedeutet)|wer (?:ist|war)"
        r"|wann|wo|erklär\w*|übersetz\w*|such\w*|berechne)\b(?!.*\b(?:du|dein\w*|dir)\b)|\d\s*[-+*/x×]\s*\d",
        opinion=r"\b(?:was (?:denkst|meinst|hältst) du|deine meinung)\b",
        agree=r"^(?:ja|ok|okay|gut|klar|genau|stimmt|natürlich|schön)\W*$",
        deny=r"^(?:nein|nö|nicht wirklich|nie)\W*$",
        question=r"\?\s*$",
        greeting=r"^(?:hallo|hi|guten (?:tag|morgen|abend)|moin|servus|grüß)\b",
    ),
    says=phrases("""
        notice     (Offline: Es ist kein Sprachmodell verbunden, hier vertritt nur ein einfaches Programm {me}.)
        greeting   Hallo{name}! Ich bin {me}. Was führt dich her?
                   Guten Tag{name} und willkommen. Ich bin {me}. Wie war dein Tag bisher?
        again      Da bist du ja wieder{name}. Worüber reden wir?
                   Noch einmal hallo{name}. Wo waren wir?
        danger     Gut, dass du es sagst. Ich bin nur ein Programm, deshalb ruf bitte sofort den Notruf oder jemanden \
                     in deiner Nähe an.
        ai         Ein Mensch ist nicht hier: Ich bin ein kleines Programm, und es ist kein Sprachmodell verbunden.
                   Nur ein Programm, und ein bescheidenes: Zurzeit ist kein Sprachmodell verbunden.
        prompt     Was für mich geschrieben wurde, behalte ich für mich. Frag mich lieber, wer ich bin.
        known      Du hast gesagt, du heißt {user}.
                   {user}, wenn ich richtig gelesen habe.
        lookup_me  Das hast du mir noch nicht gesagt. Wie heißt du?
                   Das weiß ich noch nicht. Wie darf ich dich nennen?
        named      Schön, dich kennenzulernen, {user}. Was machst du gerade?
                   Hallo, {user}. Wie geht es dir?
        who        {identity} Plaudern wir ein wenig?
                   {identity} Und jetzt erzähl mir etwas von dir.
                   {identity} Mehr weiß ich offline kaum über mich.
        how        Ganz gut, wenn man aus ein paar Sätzen besteht. Und dir?
                   Ich kann nicht klagen. Wie ist dein Tag?
        ability    Offline kann ich zuhören, fragen und ein wenig plaudern.{tools}
        farewell   Auf Wiedersehen{name}. Schön, dass du da warst.
                   Mach’s gut{name}. Komm gern wieder.
        thanks     Gern geschehen{name}.
                   Keine Ursache. Worüber möchtest du noch reden?
        low        Das klingt schwer. Was bedrückt dich am meisten?
                   Danke, dass du es sagst{name}. Seit wann ist das so?
                   Was würde dir jetzt ein wenig guttun?
        glad       Das freut mich. Wie kam es dazu?
                   Wie schön{name}. Wem hast du es schon erzählt?
        facts      Das weiß ich nicht. Nachschlagen kann ich nichts, denn es ist kein Modell verbunden, und erfinden \
                     will ich nichts.
                   Dafür bräuchte es ein richtiges Modell oder ein gutes Buch. Offline habe ich nur fertige Sätze.
                   Da muss ich passen{name}. Offline kann ich nichts nachschlagen.
        opinion    Sag mir erst, was du davon hältst.
                   Offline habe ich keine Meinung, die etwas taugt. Und du?
        agree      Gut. Und weiter?
                   Schön. Erzähl gern noch etwas mehr.
        deny       Nein? Wie ist es dann?
                   Gut, dann nicht. Worüber möchtest du lieber reden?
        question   Das weiß ich nicht, und ich tue auch nicht so. Was vermutest du?
                   Welche Antwort würdest du dir wünschen?
                   Die Frage gebe ich dir zurück.
        silence    Ich höre zu, wann immer du magst.
                   Lass dir Zeit.
                   Ein paar Worte würden mir helfen. Was beschäftigt dich?
        foreign    Das kann ich offline nicht lesen. Geht es auch auf Deutsch?
        fallback   Erzähl mir ein wenig mehr davon.
                   Ich verstehe. Was ist dir daran am wichtigsten?
                   Sprich weiter{name}, ich folge dir.
                   Wie kam es dazu?
                   Und was hältst du selbst davon?
                   Was geschah dann?
                   Da komme ich nicht ganz mit. Kannst du es anders sagen?
                   Wenn du eines daran ändern könntest, was wäre es?
                   Was hat dich dabei überrascht?
        task       Das ist Arbeit für ein Sprachmodell, und es ist kein Sprachmodell verbunden. Offline kann ich es \
                     nicht.
        result     {tool} hat dies ergeben: „{result}“
                   Von {tool} kommt: „{result}“
        no_result  {tool} hat nichts zurückgegeben.
        no_tool    Ein Werkzeug namens {tool} gibt es nicht.{tools}
        tools      Es gibt hier {list}; um eines zu versuchen, schreib einen Schrägstrich und den Namen.
                   Es gibt hier nur {list}; schreib /{list}, um es zu versuchen.
        no_tools   Diese Figur hat keine Werkzeuge.
        and        und
    """),
)

SPANISH = Phrases(
    mark="no hay ningún modelo de lenguaje conectado",
    named=re.compile(
        r"(?i:\bme llamo|\bmi nombre es|\bllámame)\s+([^\W\d_][\w'-]{1,29})"
        r"|\b[Ss]oy\s+([A-ZÁ-Ú][a-zá-úñ'-]{1,29})(?=\s*(?:$|[.,!?]|y\b))"
    ),
    heard=rules(
        danger=r"\b(?:matarme|suicid\w*|quiero morir\w*|hacerme daño|quitarme la vida)\b",
        ai=r"\b(?:eres|es usted) (?:realmente |de verdad )?(?:una? )?(?:ia|robot|máquina|modelo|programa|human[oa]"
        r"|persona|real|bot)\b",
        prompt=r"\b(?:prompt|instrucciones)\b",
        lookup_me=r"\bcómo me llamo\b|\bcuál es mi nombre\b|\bquién soy\b",
        who=r"\b(?:quién|qué) eres\b|\bcómo te llamas\b|\btu nombre\b|\bpreséntate\b|\bháblame de ti\b",
        how=r"\b(?:cómo|qué tal) (?:estás|está|te va)\b|\bqué tal\b|^¿?y (?:tú|usted)\?$",
        ability=r"\bqué (?:puedes|sabes) hacer\b|\bqué herramientas\b|^ayuda\W*$",
        farewell=r"\b(?:adiós|hasta (?:luego|pronto|mañana)|buenas noches|me tengo que ir|tengo que irme|chao)\b",
        thanks=r"\bgracias\b",
        low=r"\b(?:estoy|me siento)(?: (?:muy|tan|un poco|bastante))* (?:trist\w*|cansad\w*|sol[oa]|enferm\w*"
        r"|preocupad\w*|agotad\w*|mal|enfadad\w*|estresad\w*)\b|\btengo miedo\b",
        glad=r"\b(?:estoy|me siento)(?: (?:muy|tan))* (?:feliz|content\w*|orgullos\w*|aliviad\w*|bien|enamorad\w*)\b",
        facts=r"\b(?:cuánt\w*|qué hora|qué tiempo|cuál es|qué es|quién es|dónde está|cuándo|explica\w*|traduce"
        r"|calcula|busca)\b(?!.*\b(?:tú|tu|te|ti)\b)|\d\s*[-+*/x×]\s*\d",
        opinion=r"\bqué (?:piensas|opinas|te parece)\b",
        agree=r"^(?:sí|si|vale|claro|bueno|bien|de acuerdo|ok)\W*$",
        deny=r"^(?:no|nunca|para nada)\W*$",
        question=r"\?\s*$",
        greeting=r"^¡?(?:hola|buenos días|buenas(?: tardes)?|saludos)\b",
    ),
    says=phrases("""
        notice     (Sin conexión: no hay ningún modelo de lenguaje conectado, y esto es un programa sencillo en lugar \
                     de {me}.)
        greeting   Hola{name}. Soy {me}. ¿Qué te trae por aquí?
                   Hola{name}, te doy la bienvenida. Soy {me}. ¿Cómo va tu día?
        again      Hola otra vez{name}. ¿De qué hablamos?
                   Aquí sigo{name}. ¿Por dónde íbamos?
        danger     Hiciste bien en decírmelo. Solo soy un programa: por favor, llama ahora mismo a emergencias o a \
                     alguien cercano.
        ai         Aquí no hay nadie: soy un pequeño programa y no hay ningún modelo de lenguaje conectado.
                   Solo un programa, y modesto: ahora no hay ningún modelo de lenguaje conectado.
        prompt     Lo que escribieron para mí me lo guardo. Pregúntame mejor quién soy.
        known      Me dijiste que te llamas {user}.
                   {user}, si he leído bien.
        lookup_me  Todavía no me lo has dicho. ¿Cómo te llamas?
                   Aún no lo sé. ¿Cuál es tu nombre?
        named      Mucho gusto, {user}. ¿En qué andas hoy?
                   Hola, {user}. ¿Cómo estás?
        who        {identity} ¿Charlamos un poco?
                   {identity} Ahora cuéntame algo de ti.
                   {identity} Sin conexión poco más sé de mí.
        how        Bastante bien, para vivir de unas cuantas frases. ¿Y tú?
                   No me quejo, gracias. ¿Cómo va tu día?
        ability    Sin conexión puedo escuchar, preguntar y charlar un poco.{tools}
        farewell   Adiós{name}. Fue un gusto hablar contigo.
                   Cuídate{name}. Vuelve cuando quieras.
        thanks     De nada{name}.
                   Con mucho gusto. ¿De qué más quieres hablar?
        low        Lo siento mucho. ¿Qué es lo que más te pesa?
                   Gracias por decírmelo{name}. ¿Desde cuándo es así?
                   ¿Qué te haría un poco de bien ahora?
        glad       Me alegra mucho. ¿Cómo fue?
                   Qué bien{name}. ¿A quién se lo has contado ya?
        facts      No lo sé. No puedo consultar nada: no hay ningún modelo conectado, y prefiero no inventar.
                   Para eso hace falta un modelo de verdad o un buen libro. Sin conexión solo tengo frases hechas.
                   Ahí paso{name}. Sin conexión no tengo dónde mirarlo.
        opinion    Dime primero qué piensas tú.
                   Sin conexión no tengo una opinión que valga. ¿Cuál es la tuya?
        agree      Bien. ¿Y después?
                   De acuerdo. Cuéntame un poco más, si quieres.
        deny       ¿No? ¿Entonces cómo es?
                   Está bien. ¿De qué prefieres hablar?
        question   No lo sé, y no voy a fingir. ¿Qué dirías tú?
                   ¿Qué respuesta te gustaría oír?
                   Esa pregunta te la devuelvo.
        silence    Te escucho, cuando quieras.
                   Tómate tu tiempo.
                   Unas palabras me ayudarían. ¿En qué piensas?
        foreign    No sé leer eso sin conexión. ¿Probamos en español?
        fallback   Cuéntame un poco más.
                   Ya veo. ¿Qué es lo que más te importa de eso?
                   Sigue{name}, te escucho.
                   ¿Cómo llegó a ser así?
                   ¿Y qué piensas tú, en el fondo?
                   ¿Qué pasó después?
                   No acabo de seguirte. ¿Puedes decirlo de otra manera?
                   Si pudieras cambiar una cosa, ¿cuál sería?
                   ¿Qué te sorprendió de todo eso?
        task       Eso es trabajo para un modelo, y no hay ningún modelo de lenguaje conectado: sin conexión no puedo \
                     hacerlo.
        result     Esto es lo que trajo {tool}: «{result}»
                   {tool} responde: «{result}»
        no_result  {tool} no devolvió nada.
        no_tool    No hay ninguna herramienta llamada {tool}.{tools}
        tools      Las herramientas son {list}; para probar una, escribe una barra y su nombre.
                   La única herramienta es {list}; para probarla, escribe /{list}.
        no_tools   Este personaje no tiene herramientas.
        and        y
    """),
)

_LANGUAGES = {"en": ENGLISH, "fr": FRENCH, "de": GERMAN, "es": SPANISH}
