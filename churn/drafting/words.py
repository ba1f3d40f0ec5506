"""Vocabulary of column names and values: left and stayed, keys, persons, times, payments."""

from __future__ import annotations

import re
import unicodedata

from ..data.contract import snake_case

__all__ = [
    "is_earlier",
    "is_entity_alone",
    "is_key",
    "is_money",
    "is_monthly_payment",
    "is_of_an_entity",
    "is_person",
    "is_row_number",
    "is_time_of_row",
    "likeness_to_outcome",
    "polarity",
    "said_yes",
    "time_of_row",
    "words_of",
]

LEFT, STAYED = 1, -1


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


_LEFT_FOR_SURE = re.compile(
    r"(is|has|have|will|be|pre)?(churn|cancel)|attrit|exited$|terminated$|termination$|unsubscri|deactivat|lapsed?$|defect(ed|ion|or)|"
    r"(ge)?kue?ndig|abgewandert|abwander|resili|desabonn|abandon|disdett|opgezeg|opzeg|evadi|evasao|cancelad"
)
"""Stems that say in any name that a customer left, in a few languages."""
_LEFT = re.compile(
    _LEFT_FOR_SURE.pattern + r"|left$|leav|gone$|lost$|closed$|exit|quit$|ended$|expired$|departed$|dropped$|dropout|"
    r"former$|ex$|dormant$|baja$|parti(e|s)?$|perdu|perdid|perso$|fuga$|vertrokken|saiu$"
)
_STAYED = re.compile(
    r"retain|retention$|renew|activ(e|o|a|ated)$|aktiv|actif|attiv|ativo|actief|stay|loyal$|kept$|keep|remain|alive$|existing$|"
    r"current$|continu(e|ed|es|ing)$|surviv|subscri|engaged$|joined$|open$|paying$|repurchas|reorder|geblieben|gebleven|reste|"
    r"retenid|renovad|permanec|rimast|fidele|conserve"
)
_NOT = {"not", "non", "no", "never", "didnt", "isnt", "wasnt", "nicht", "kein", "pas", "nao", "niet"}
_PREFIX = re.compile(r"^(un|non|in|dis)(?=..)")
_AVERTED = re.compile(r"(prevent|avoid|avert|revers)(ed|ion|al)?$|saved$|anti$")
"""Words beside leaving that say that it did not come to it: `churn_prevented`."""
_YES = {"1", "true", "t", "yes", "y", "oui", "si", "ja", "j", "sim", "vrai", "wahr", "on", "da", "tak"}
_NO = {"0", "-1", "false", "f", "no", "n", "non", "nein", "nee", "nao", "faux", "falsch", "off", "net", "nie"}

_OUTCOME_NAMES = {"target", "label", "status", "outcome", "state", "response", "class"}
_AROUND = _listed(
    """
    is was has have had did will still the a in within next month period customer client user member account
    subscriber subscription policy contract cust acct membership flag ind indicator yn value days y kunde
    cliente service
    """
)
"""Words around an outcome's name that say nothing about who left."""
_EARLIER = {"previous", "previously", "prior", "past", "earlier", "before", "historic", "historical", "ever"}

_ENTITIES = (
    "customer|client|account|user|subscriber|member|msisdn|cust|acct|company|policy|insured|tenant|household|employee|"
    "emp(?=_|id|no|$)|player|student|patient|donor|merchant|seller|kunde|kunden|mitglied|konto|abonn[a-z]*|cliente|usuario|socio|"
    "suscriptor|cuenta|cadastro|utente|klant|lid(?=_|nr|nummer|$)|klient|compte|adherent|assure"
)
_ENTITY = re.compile(rf"(^|_)({_ENTITIES})")
_ENTITY_ALONE = re.compile(rf"({_ENTITIES}|policyholder)(_?(code|codigo|cod|numero|nummer))?")
_KEYS = {"id", "key", "number", "no", "num", "nr", "uuid", "guid", "ref", "msisdn", "nummer", "numero"}
_JOINED_KEY = re.compile(rf"({_ENTITIES})(id|no|nr|key|num|nummer|numero)$")
_ROW_NUMBER = re.compile(r"^(row|index|unnamed|record|sno|serial)(_|\d|num|no|id|$)")

_PERSON = re.compile(
    r"((^|_)(first|last|full|sur|middle|given|family|nick|user|customer|client|member|subscriber|contact|holder)_?)name$|"
    r"^name$|^surname|e?_?mail(_address)?$|(phone|mobile|cell|telephone|fax)(_?(no|nr|num|number))?$|address(_line)?(_\d)?$|"
    r"street|birth|^dob$|passport|iban|ssn$|social_security|national_id|tax_id|credit_card_n"
)
_HISTORY = re.compile(
    r"birth|dob|sign|join|start|creat|regist|activ|aktiv|attiv|first|last|end$|ended|ending|renew|expir|since|open|updat|modif|chang|enrol|"
    r"onboard|install|incept|effective|issue|adhesi|hire|doj|begin|became|acqui|tenure|subscri|alta$|eintritt|inscri|"
    r"beitritt|due$|next|contract|policy|member|customer|client|kunde|premi|prim(e|o|a)|ultim|derni|erst|letzt|eerste|laatste|"
    r"seit|depuis|desde|registr|ingreso|nacim|nascim|naissance|geburt|inici|debut|vencim|echeance|upgrad|downgrad|effet"
)
_OF_A_ROW = re.compile(
    r"snapshot|observ|period|report|extract|cutoff|reference|statement|event|transaction|asof|stichtag"
)
_WHEN = _listed(
    """
    date time ts timestamp datetime dt day week month quarter year as invoice order billing purchase payment
    datum fecha mois monat periodo jour data mes
    """
)

_MONTH = re.compile(
    r"(^|_)(month|monthly|mo|mensual|mensuel|mensuelle|mensile|monatlich|monat)(_|$)|^monats|mensualite"
)
_PAID = re.compile(
    r"^(charges?|fees?|revenues?|price|payments?|bill|bills|billing|spend|spending|cost|premium|amount|due|"
    r"subscription|paid|cuota|beitrag|gebuhr|gebuehr|abonnement|preis|prix|tarif|canone|valor|contribution)$"
)
_PER_MONTH = re.compile(r"^(mrr|arpu|arpa|mensualite|monats(beitrag|preis|gebuehr|gebuhr)|abogebuehr)$")
_NOT_ALL = _listed(
    """
    income salary wage wages earnings balance limit total lifetime annual yearly year cumulative day daytime
    eve evening night weekend peak intl international extra overage roaming late penalty discount refund
    refunds tax shipping setup activation data sms call calls minute minutes voice device addon other
    streaming distance change diff difference ratio pct percent share count num number loan mortgage debt rent
    emi card credit debit category band level type group flag method outstanding unpaid overdue missed delayed
    growth trend std per waived equipment
    """
)
"""Words of an amount that is not all that a customer pays in a month."""
_MONEY = re.compile(
    r"charge|fee$|fees$|revenue|price|payment|bill|spend|cost|premium|amount|income|salary|balance|limit"
)


def words_of(text: str) -> list[str]:
    """Return the words of a name or of a value: lower case, no accents, `NotChurned` and `not-churned` alike."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return [word for word in snake_case(plain.replace("'", "")).split("_") if word]


def polarity(text: str) -> int:
    """Return 1 where the words say that a customer left, -1 for stayed, 0 where they say neither, or both."""
    return _polarity(words_of(text), _LEFT)


def _polarity(words: list[str], left: re.Pattern[str]) -> int:
    polarities, negated = set(), any(map(_AVERTED.match, words))
    for word in words:
        if word in _NOT:
            negated = not negated
            continue
        meaning = _said(word, left)
        if meaning:
            polarities.add(-meaning if negated else meaning)
            negated = False
    return polarities.pop() if len(polarities) == 1 else 0


def _said(word: str, left: re.Pattern[str]) -> int:
    if left.match(word):
        return LEFT
    if _STAYED.match(word):
        return STAYED
    bare = _PREFIX.sub("", word)
    return -_said(bare, left) if bare != word else 0


def said_yes(value: str) -> bool | None:
    """Return whether a value says yes or no, such as 1, true, oui; None where it says neither."""
    word = unicodedata.normalize("NFKD", value).encode("ascii", "ignore").decode().strip().rstrip(".").lower()
    return True if word in _YES else False if word in _NO else None


def likeness_to_outcome(name: str) -> int:
    """Return how much a column is called like an outcome: 8 by a word for leaving, less by others, 0 not at all.

    Words such as `lost` or `active` count where they are the whole name (`is_active`): `lost_packages` is no outcome.
    """
    words = words_of(name)
    if _EARLIER & set(words):
        return 0
    if any(_LEFT_FOR_SURE.match(_PREFIX.sub("", word) if _said(word, _LEFT) else word) for word in words):
        return 8
    core = [word for word in words if word not in _AROUND and word not in _OUTCOME_NAMES and not word[0].isdigit()]
    if core and all(word in _NOT or _said(word, _LEFT) for word in core):
        return 6 if _polarity(core, _LEFT) == LEFT else 3
    return 4 if not core and _OUTCOME_NAMES & set(words) else 0


def is_earlier(name: str) -> bool:
    """Return whether a column is called like something of the past, such as `previous_cancellations`."""
    return bool(_EARLIER & set(words_of(name)))


def is_key(name: str) -> bool:
    """Return whether a column is called like a key: `customer_id`, `id_client`, `userid`, `policy_no`."""
    words = words_of(name)
    return words[-1:] != [] and (words[-1] in _KEYS or words[0] == "id" or bool(_JOINED_KEY.search(words[-1])))


def is_entity_alone(name: str) -> bool:
    """Return whether a column is called like a customer and nothing else: `account`, `Customer`, `codigo_cliente`."""
    words = words_of(name)
    return any(_ENTITY_ALONE.fullmatch("_".join(order)) for order in (words, words[::-1]))


def is_of_an_entity(name: str) -> bool:
    """Return whether a column is called after a customer."""
    return bool(_ENTITY.search("_".join(words_of(name))))


def is_row_number(name: str) -> bool:
    """Return whether a column is called like the number of a row."""
    return bool(_ROW_NUMBER.search("_".join(words_of(name))))


def is_person(name: str) -> bool:
    """Return whether a column is called like what identifies a person: a name, an address, a number to call."""
    return bool(_PERSON.search("_".join(words_of(name))))


def is_time_of_row(name: str) -> bool:
    """Return whether a time is called after a row, such as `snapshot_date`, and not only `date`."""
    return time_of_row(name) >= 10


def time_of_row(name: str) -> int:
    """Return how much a time is called like that of a row: 0 not at all, -1 like a day in the customer's history."""
    words = words_of(name)
    of_row = sum(bool(_OF_A_ROW.match(word)) for word in words)
    if not of_row and any(_HISTORY.match(word) for word in words):
        return -1
    return 10 * of_row + len(_WHEN & set(words))


def is_money(name: str) -> bool:
    """Return whether a column is called like an amount of money."""
    return any(_MONEY.match(word) for word in words_of(name))


def is_monthly_payment(name: str) -> bool:
    """Return whether a column is called like all that a customer pays in a month: no income, balance or part charge."""
    words = words_of(name)
    if _NOT_ALL & set(words):
        return False
    paid = any(_PAID.match(word) for word in words) and _MONTH.search("_".join(words))
    return bool(paid) or any(_PER_MONTH.match(word) for word in words)
