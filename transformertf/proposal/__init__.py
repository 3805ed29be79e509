"""Files to a proposed configuration, each value with its reason.

    files -> Seen -> Arranged -> Roles -> Lengths -> Proposal

`writing` tells how text is written, `looking` reads as many rows as are quick to look at, `series`
finds time and series, `words` and `leaks` tell what columns are, `roles` hands them out, `rhythm`
measures seasons and levels, `lengths` and `settings` choose, `proposal` puts all together and
`text` writes YAML. None of it needs torch, but for local clocks.
"""

from transformertf.proposal.looking import LOOKED_AT, Seen, look
from transformertf.proposal.proposal import Proposal, Wishes, propose
from transformertf.proposal.roles import Answers, AsProposed, Given
from transformertf.proposal.settings import SIZES
