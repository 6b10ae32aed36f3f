"""How an answer is read from what a model wrote: sentences, the parts that their words play, what is claimed of what.

``sentences`` cuts a text; ``lexicon.toml`` knows the words that matter in 28 languages; ``roles`` makes a sentence a
string with a letter for each word's part; ``claims`` finds in that string which candidates (letters, numbers, short
answers) are stated, denied or merely mentioned; ``ledger`` makes one answer of the claims of a whole text, or none
where they contradict each other; ``text`` reads any beginning of a text so.
"""
