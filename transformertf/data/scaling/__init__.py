"""What is fitted to the training data, and series to scaled rows with it.

    Series -> ScaledRows

`training_rows` gives what is fitted on, `chains` the transforms of each column, `time_features`
those of the time stamps, `vocabulary` the numbers of categories. `features` writes the scaled
features, `scaling` fits all and goes back to original units, `scaled_rows` stores the result.
`inheritance` is what one fit takes along of another, `ranges` what values the training rows have.
"""

from transformertf.data.scaling.inheritance import Inheritance
from transformertf.data.scaling.ranges import Ranges, Watch
from transformertf.data.scaling.scaled_rows import ScaledRows, store_series
from transformertf.data.scaling.scaling import Scaling
from transformertf.data.scaling.time_features import calendar_codes, calendar_sizes
from transformertf.data.scaling.vocabulary import Vocabularies, tell_unknown
