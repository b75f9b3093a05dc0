"""Which data sets there are: those that ship with the package and public ones to fetch. Addresses and checksums are data, here.

A checksum stands here only where it was published or where independent sources agree on it; for the other files the SHA-256
of the first download is written beside the file and holds from then on (trust on first use).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from heliograph.errors import UsageError, suggest

_S3 = "https://deepchemdata.s3-us-west-1.amazonaws.com/datasets/"
_S3_OLD = "http://deepchem.io.s3-website-us-west-1.amazonaws.com/datasets/"
_GITHUB = "https://raw.githubusercontent.com/deepchem/deepchem/master/datasets/"
_MOLECULENET = "Z. Wu et al., MoleculeNet, Chem. Sci. 9, 513 (2018), doi:10.1039/c7sc02664a"
_QM9 = "R. Ramakrishnan, P. O. Dral, M. Rupp, O. A. von Lilienfeld, Sci. Data 1, 140022 (2014), doi:10.1038/sdata.2014.22"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file to download: its name, where it is (first address first), its size in bytes and checksums where they are known."""

    name: str
    addresses: tuple[str, ...]
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None


@dataclass(frozen=True, slots=True)
class DataSet:
    """One data set. `file` is what `path_of` gives and the readers read; where `convert` names a converter, it is made from `files`."""

    name: str
    summary: str  # one line
    records: int
    units: Mapping[str, str]  # target column -> unit; "" has none (a class, a probability)
    source: str  # citation
    licence: str
    file: str
    geometry: bool = False
    smiles_column: str | None = "smiles"
    files: tuple[RemoteFile, ...] = ()
    convert: str | None = None  # function of heliograph.data.sets.convert, or MODULE.FUNCTION beside it
    notes: tuple[str, ...] = field(default=())

    @property
    def shipped(self) -> bool:
        """True where it is part of the package: nothing to fetch."""
        return not self.files

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(self.units)


def _moleculenet(file: str, *, github: bool = False, sha256: str | None = None, md5: str | None = None) -> tuple[RemoteFile, ...]:
    bases = (_S3, *((_GITHUB,) if github else ()), _S3_OLD)
    return (RemoteFile(file, tuple(base + file for base in bases), sha256=sha256, md5=md5),)


_LINQS = "https://linqs-data.soe.ucsc.edu/public/"


def _citations(name: str, summary: str, records: int, address: str, convert: str = "graphs.citations") -> DataSet:
    return DataSet(
        name=name, summary=summary, records=records, units={"label": ""},
        source="P. Sen et al., AI Magazine 29(3), 93 (2008), doi:10.1609/aimag.v29i3.2157", licence="not stated by LINQS",
        file="nodes.parquet", smiles_column=None, files=(RemoteFile(address.rpartition("/")[2], (address,)),), convert=convert,
        notes=("heliograph train FOLDER/nodes.parquet --edges FOLDER/edges.csv --target-columns label -o run",
               "The whole graph of LINQS, without the public split of Planetoid, whose files are pickles.",
               "No published checksum is known."),
    )  # fmt: skip


_UNSTATED = "not stated by MoleculeNet; the terms of the original source apply"

_SETS = (
    DataSet(
        name="smallmol",
        summary="small organic molecules (H C N O F S Cl, up to 8 heavy atoms): GFN2-xTB geometries, energies, orbitals, dipoles, charges",
        records=6_373,
        units={"atomization_energy": "eV", "energy": "eV", "homo": "eV", "lumo": "eV", "gap": "eV", "dipole": "D"},
        source="made for this package by scripts/make_smallmol.py; method: C. Bannwarth et al., doi:10.1021/acs.jctc.8b01176",
        licence="MIT",
        file="smallmol.npz",
        geometry=True,
    ),
    DataSet(
        name="qm9",
        summary="organic molecules of up to 9 heavy atoms (C N O F): B3LYP/6-31G(2df,p) geometries and 16 properties",
        records=130_831,
        units={
            "mu": "D", "alpha": "bohr^3", "homo": "eV", "lumo": "eV", "gap": "eV", "r2": "bohr^2", "zpve": "eV", "u0": "eV", "u": "eV",
            "h": "eV", "g": "eV", "cv": "cal/mol/K", "u0_atom": "eV", "u_atom": "eV", "h_atom": "eV", "g_atom": "eV",
        },
        source=_QM9,
        licence="CC0 (figshare collection 978904)",
        file="qm9.extxyz.gz",
        geometry=True,
        smiles_column=None,
        files=(
            RemoteFile(
                "dsgdb9nsd.xyz.tar.bz2",
                ("https://ndownloader.figshare.com/files/3195389", "https://springernature.figshare.com/ndownloader/files/3195389",
                 "https://paddle-org.bj.bcebos.com/paddlematerials/datasets/qm9/dsgdb9nsd.xyz.tar.bz2"),
                size=86_144_227,
                sha256="3a63848ac80691bdb8d41834b575afad345b9300d7a2db0c38adb7f6eaa8360c",
                md5="ad1ebd51ee7f5b3a6e32e974e5d54012",
            ),
            RemoteFile(
                "uncharacterized.txt",
                ("https://ndownloader.figshare.com/files/3195404", "https://springernature.figshare.com/ndownloader/files/3195404"),
                size=486_752,
                sha256="3aa5115d540b356de94791d4a74c3bf1ed91c469ecf52a4f5d7cc0506fe02e24",
                md5="a361887bacb427b8a0ce7903d92a53b4",
            ),
        ),
        convert="qm9",
        notes=("The 3,054 molecules that failed the authors' consistency check are left out (133,885 before).",),
    ),
    DataSet(
        name="qm7",
        summary="organic molecules of up to 7 heavy atoms (C N O S): geometries and PBE0 atomization energies",
        records=7_165,
        units={"u0_atom": "eV"},
        source="M. Rupp, A. Tkatchenko, K.-R. Mueller, O. A. von Lilienfeld, Phys. Rev. Lett. 108, 058301 (2012)",
        licence="not stated by quantum-machine.org",
        file="qm7.extxyz.gz",
        geometry=True,
        smiles_column=None,
        files=(
            RemoteFile(
                "qm7.mat",
                ("http://quantum-machine.org/data/qm7.mat", _S3 + "qm7.mat", _S3_OLD + "qm7.mat"),
                md5="2aea1a6ac88793faeafcd61a2491f059",
            ),
        ),
        convert="qm7",
        notes=("The column fold (0 to 4) is the authors' stratified split.", "The MD5 is from one source only."),
    ),
    DataSet(
        name="esol",
        summary="measured solubility in water of common organic molecules (Delaney)",
        records=1_128,
        units={"measured log solubility in mols per litre": "log10(mol/L)"},
        source=f"J. S. Delaney, J. Chem. Inf. Comput. Sci. 44, 1000 (2004), doi:10.1021/ci034243x; {_MOLECULENET}",
        licence=_UNSTATED,
        file="delaney-processed.csv",
        files=_moleculenet(
            "delaney-processed.csv", github=True, sha256="8c06a76f0c6487d29ab0f903e6a7a7139f189ab3c1178f159c8be8964602f189",
            md5="0c90a51668d446b9e3ab77e67662bd1c",
        ),
        notes=("The other numeric columns are descriptors and another model's prediction: name the target.",),
    ),
    DataSet(
        name="freesolv",
        summary="measured (expt) and calculated (calc) hydration free energies of small molecules",
        records=642,
        units={"expt": "kcal/mol", "calc": "kcal/mol"},
        source=f"D. L. Mobley, J. P. Guthrie, J. Comput.-Aided Mol. Des. 28, 711 (2014), doi:10.1007/s10822-014-9747-x; {_MOLECULENET}",
        licence="CC BY 4.0 for FreeSolv, as far as its authors can license it",
        file="SAMPL.csv",
        files=_moleculenet("SAMPL.csv", sha256="ab5895d914ee87cb563bd7b9611e869527bba45bec6b014d34dc495a0f9dcb72"),
        notes=("calc is a simulation's answer for expt: name the target.",),
    ),
    DataSet(
        name="lipophilicity",
        summary="measured octanol/water distribution coefficients (log D at pH 7.4)",
        records=4_200,
        units={"exp": "log10(D)"},
        source=f"AstraZeneca deposit in ChEMBL, doi:10.6019/CHEMBL3301361; {_MOLECULENET}",
        licence="ChEMBL's (CC BY-SA 3.0)",
        file="Lipophilicity.csv",
        files=_moleculenet(
            "Lipophilicity.csv", sha256="aed41590cb30609d51d8e08ad3ff06495a76e80e211358801f596b10da69bacd",
            md5="85a0e1cb8b38b0dfc3f96ff47a57f0ab",
        ),
    ),
    DataSet(
        name="bbbp",
        summary="does a molecule pass the blood-brain barrier (0/1)",
        records=2_050,
        units={"p_np": ""},
        source=f"I. F. Martins et al., J. Chem. Inf. Model. 52, 1686 (2012), doi:10.1021/ci300124c; {_MOLECULENET}",
        licence=_UNSTATED,
        file="BBBP.csv",
        files=_moleculenet(
            "BBBP.csv", sha256="d07a38487aeac5cee5508413e468043ef3097451d2a112701c2d60be9ec6b662",
            md5="66286cb9e6b148bd75d80c870df580fb",
        ),
        notes=("11 rows hold SMILES with wrong valences and can't be used.",),
    ),
    DataSet(
        name="tox21",
        summary="twelve toxicity assays: nuclear receptors and stress response (0/1, many missing)",
        records=7_831,
        units=dict.fromkeys(
            ("NR-AR", "NR-AR-LBD", "NR-AhR", "NR-Aromatase", "NR-ER", "NR-ER-LBD", "NR-PPAR-gamma", "SR-ARE", "SR-ATAD5", "SR-HSE",
             "SR-MMP", "SR-p53"), "",
        ),
        source=f"Tox21 Data Challenge 2014; {_MOLECULENET}",
        licence=_UNSTATED,
        file="tox21.csv.gz",
        files=_moleculenet(
            "tox21.csv.gz", github=True, sha256="45d09792492ce049039dd24aa27b07fc79ce20c573187d4d90bcd178c0c0d360",
            md5="2882d69e70bba0fec14995f26787cc25",
        ),
    ),
    DataSet(
        name="sider",
        summary="side effects of marketed drugs in 27 classes of organ systems (0/1)",
        records=1_427,
        units=dict.fromkeys(
            ("Hepatobiliary disorders", "Metabolism and nutrition disorders", "Product issues", "Eye disorders", "Investigations",
             "Musculoskeletal and connective tissue disorders", "Gastrointestinal disorders", "Social circumstances",
             "Immune system disorders", "Reproductive system and breast disorders",
             "Neoplasms benign, malignant and unspecified (incl cysts and polyps)",
             "General disorders and administration site conditions", "Endocrine disorders", "Surgical and medical procedures",
             "Vascular disorders", "Blood and lymphatic system disorders", "Skin and subcutaneous tissue disorders",
             "Congenital, familial and genetic disorders", "Infections and infestations",
             "Respiratory, thoracic and mediastinal disorders", "Psychiatric disorders", "Renal and urinary disorders",
             "Pregnancy, puerperium and perinatal conditions", "Ear and labyrinth disorders", "Cardiac disorders",
             "Nervous system disorders", "Injury, poisoning and procedural complications"), "",
        ),
        source=f"M. Kuhn, I. Letunic, L. J. Jensen, P. Bork, Nucleic Acids Res. 44, D1075 (2016); {_MOLECULENET}",
        licence="SIDER's (CC BY-NC-SA 4.0)",
        file="sider.csv.gz",
        files=_moleculenet("sider.csv.gz", md5="77c0ef421f7cc8ce963c5836c8761fd2"),
    ),
    DataSet(
        name="toxcast",
        summary="617 toxicity assays (0/1, most missing)",
        records=8_576,
        units={},
        source=f"A. M. Richard et al., Chem. Res. Toxicol. 29, 1225 (2016); {_MOLECULENET}",
        licence=_UNSTATED,
        file="toxcast_data.csv.gz",
        files=_moleculenet("toxcast_data.csv.gz", md5="92911bbf9c1e2ad85231014859388cd6"),
        notes=("All 617 columns beside smiles are targets.",),
    ),
    DataSet(
        name="hiv",
        summary="does a molecule inhibit the replication of HIV (0/1)",
        records=41_127,
        units={"HIV_active": ""},
        source=f"AIDS Antiviral Screen, Drug Therapeutics Program; {_MOLECULENET}",
        licence=_UNSTATED,
        file="HIV.csv",
        files=_moleculenet(
            "HIV.csv", sha256="9ffa7fe57dc86c342627ee1d5255e937e2ab812393c73c4d16c697022f6e1d22",
            md5="9ad10c88f82f1dac7eb5c52b668c30a7",
        ),
    ),
    DataSet(
        name="qm8",
        summary="energies and oscillator strengths of the two lowest excitations of small molecules, by CC2 and TDDFT",
        records=21_786,
        units={
            **dict.fromkeys(("E1-CC2", "E2-CC2"), "Eh"), **dict.fromkeys(("f1-CC2", "f2-CC2"), ""),
            **dict.fromkeys(("E1-PBE0", "E2-PBE0"), "Eh"), **dict.fromkeys(("f1-PBE0", "f2-PBE0"), ""),
            **dict.fromkeys(("E1-CAM", "E2-CAM"), "Eh"), **dict.fromkeys(("f1-CAM", "f2-CAM"), ""),
        },
        source=f"R. Ramakrishnan, M. Hartmann, E. Tapavicza, O. A. von Lilienfeld, J. Chem. Phys. 143, 084111 (2015); {_MOLECULENET}",
        licence=_UNSTATED,
        file="qm8.csv",
        files=_moleculenet("qm8.csv"),
        notes=("The file names four PBE0 columns twice; read their second set with care.", "No published checksum is known."),
    ),
    _citations("cora", "machine learning papers of 7 areas, their words and who cites whom", 2_708, f"{_LINQS}lbc/cora.tgz"),
    _citations("citeseer", "computer science papers of 6 areas, their words and who cites whom", 3_312, f"{_LINQS}lbc/citeseer.tgz"),
    _citations(
        "pubmed", "papers on three kinds of diabetes, their words and who cites whom", 19_717, f"{_LINQS}Pubmed-Diabetes.tgz",
        "graphs.pubmed",
    ),
    DataSet(
        name="fb15k237",
        summary="a knowledge graph of 14,541 entities and 237 relations, with its split",
        records=310_116,
        units={},
        source="K. Toutanova, D. Chen, Workshop on Continuous Vector Space Models (2015), doi:10.18653/v1/W15-4007; from Freebase",
        licence="CC BY 2.5 (Freebase)",
        file="triples.tsv",
        smiles_column=None,
        files=tuple(
            RemoteFile(f"{part}.txt", (f"https://raw.githubusercontent.com/villmow/datasets_knowledge_embedding/master/FB15k-237/{part}.txt",))
            for part in ("train", "valid", "test")
        ),
        convert="graphs.triples",
        notes=("heliograph train --edges FILE --level link --relation-column relation --splits-column split -o run",
               "No published checksum is known."),
    ),
    DataSet(
        name="gowalla",
        summary="which of 40,981 places 29,858 users went to, with the split of LightGCN",
        records=1_027_370,
        units={},
        source="E. Cho et al., KDD 2011, doi:10.1145/2020408.2020579; split of X. He et al., arXiv:2002.02126",
        licence="not stated (SNAP)",
        file="edges.parquet",
        smiles_column=None,
        files=tuple(
            RemoteFile(f"{part}.txt", (f"https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/master/data/gowalla/{part}.txt",))
            for part in ("train", "test")
        ),
        convert="graphs.interactions",
        notes=("heliograph train --edges FILE --level link --bipartite --splits-column split -o run",
               "No validation comes with it.", "No published checksum is known."),
    ),
)  # fmt: skip

_ALSO = {"delaney": "esol", "lipo": "lipophilicity", "sampl": "freesolv"}


def catalogue() -> tuple[DataSet, ...]:
    """Every data set, shipped ones first."""
    return _SETS


def find(name: str) -> DataSet:
    """The data set called `name`, in any case; UsageError with a suggestion."""
    wanted = _ALSO.get(name.strip().lower(), name.strip().lower())
    for one in catalogue():
        if one.name == wanted:
            return one
    raise UsageError(f"no data set {name!r}; {suggest(wanted, [one.name for one in catalogue()])} `heliograph data` lists them all.")
