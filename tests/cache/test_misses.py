"""Small projects in which one edit, in a place that is easily overlooked, has to be a miss."""
# ruff: noqa: E501

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KEYS = Path(__file__).with_name("keys.py")

#: What it is about; the modules; the workflow; the file that is edited, and how.
CASES: list[tuple[str, dict[str, str], str, str, str, str]] = [
    ('classmethod', {'h': 'class M:\n    @classmethod\n    def make(cls): return 1\n'}, 'import h\ndef run(x): return h.M.make()\n', 'h', 'return 1', 'return 2'),
    ('metaclass', {'h': 'class T(type):\n    def go(c): return 1\nclass M(metaclass=T): pass\n'}, 'import h\ndef run(x): return h.M.go()\n', 'h', 'return 1', 'return 2'),
    ('descriptor', {'h': 'class D:\n    def __get__(s,o,t): return 1\nclass M:\n    d=D()\n'}, 'import h\ndef run(x): return h.M().d\n', 'h', 'return 1', 'return 2'),
    ('default_factory', {'h': 'import dataclasses\n@dataclasses.dataclass\nclass M:\n    a: list = dataclasses.field(default_factory=lambda: [1])\n'}, 'import h\ndef run(x): return h.M()\n', 'h', '[1]', '[2]'),
    ('dc default', {'h': 'import dataclasses\n@dataclasses.dataclass\nclass M:\n    a: int = 1\n'}, 'import h\ndef run(x): return h.M()\n', 'h', '= 1', '= 2'),
    ('enum method', {'h': 'import enum\nclass E(enum.Enum):\n    A=1\n    def go(s): return 1\n'}, 'import h\ndef run(x): return h.E.A.go()\n', 'h', 'return 1', 'return 2'),
    ('enum value', {'h': 'import enum\nclass E(enum.Enum):\n    A=1\n'}, 'import h\ndef run(x): return h.E.A\n', 'h', 'A=1', 'A=2'),
    ('attrs default', {'h': 'import attrs\n@attrs.define\nclass M:\n    a: int = 1\n'}, 'import h\ndef run(x): return h.M()\n', 'h', '= 1', '= 2'),
    ('attrs validator', {'h': 'import attrs\ndef v(i,a,x): return 1\n@attrs.define\nclass M:\n    a: int = attrs.field(default=1,validator=v)\n'}, 'import h\ndef run(x): return h.M()\n', 'h', 'return 1', 'return 2'),
    ('attrs order', {'h': 'import attrs\n@attrs.define(eq=True)\nclass M:\n    a: int = 1\n'}, 'import h\ndef run(x): return h.M()==h.M()\n', 'h', 'eq=True', 'eq=False'),
    ('attrs frozen', {'h': 'import attrs\n@attrs.define(frozen=True)\nclass M:\n    a: int = 1\n'}, 'import h\ndef run(x): return h.M()==h.M()\n', 'h', 'frozen=True', 'frozen=False'),
    ('dc frozen', {'h': 'import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass M:\n    a: int = 1\n'}, 'import h\ndef run(x): return h.M()==h.M()\n', 'h', 'frozen=True', 'frozen=False'),
    ('dc order', {'h': 'import dataclasses\n@dataclasses.dataclass\nclass M:\n    a: int = 1\n    b: int = 1\n'}, 'import h\ndef run(x): return h.M(1,2)\n', 'h', '    a: int = 1\n    b: int = 1\n', '    b: int = 1\n    a: int = 1\n'),
    ('attrs field order', {'h': 'import attrs\n@attrs.define\nclass M:\n    a: int = 1\n    b: int = 1\n'}, 'import h\ndef run(x): return h.M(1,2)\n', 'h', '    a: int = 1\n    b: int = 1\n', '    b: int = 1\n    a: int = 1\n'),
    ('namedtuple', {'h': "from collections import namedtuple\nP=namedtuple('P','x y')\n"}, 'import h\ndef run(x): return h.P(1,2)._asdict()\n', 'h', 'x y', 'y x'),
    ('NamedTuple default', {'h': 'import typing\nclass P(typing.NamedTuple):\n    a: int = 1\n'}, 'import h\ndef run(x): return h.P()\n', 'h', '= 1', '= 2'),
    ('partial global', {'h': 'import functools\ndef f(a,b): return a+1\nG=functools.partial(f,1)\n'}, 'import h\ndef run(x): return h.G(x)\n', 'h', 'a+1', 'a+2'),
    ('partial value', {'h': 'import functools\ndef f(a,b): return a\nG=functools.partial(f,1)\n'}, 'import h\ndef run(x): return h.G(x)\n', 'h', 'f,1', 'f,2'),
    ('vectorize', {'h': 'import numpy as np\ndef f(a): return a+1\nG=np.vectorize(f)\n'}, 'import h\ndef run(x): return h.G(x)\n', 'h', 'a+1', 'a+2'),
    ('star', {'h': 'def f(a): return a+1\n'}, 'from h import *\ndef run(x): return f(x)\n', 'h', 'a+1', 'a+2'),
    ('tryimport', {'h': 'def f(a): return a+1\n'}, 'try:\n    from h import f\nexcept ImportError:\n    f=None\ndef run(x): return f(x)\n', 'h', 'a+1', 'a+2'),
    ('class decorator', {'h': 'def deco(c):\n    c.v=1\n    return c\n@deco\nclass M: pass\n'}, 'import h\ndef run(x): return h.M.v\n', 'h', 'v=1', 'v=2'),
    ('import as inside', {'p/__init__': '', 'p/s': 'def f(a): return a+1\n'}, 'def run(x):\n    import p.s as q\n    return q.f(x)\n', 'p/s', 'a+1', 'a+2'),
    ('dotted inside', {'p/__init__': '', 'p/s': 'def f(a): return a+1\n'}, 'def run(x):\n    import p.s\n    return p.s.f(x)\n', 'p/s', 'a+1', 'a+2'),
    ('from inside module', {'p/__init__': '', 'p/s': 'def f(a): return a+1\n'}, 'def run(x):\n    from p import s\n    return s.f(x)\n', 'p/s', 'a+1', 'a+2'),
    ('relative inside', {'p/__init__': 'def go(x):\n    from . import s\n    return s.f(x)\n', 'p/s': 'def f(a): return a+1\n'}, 'import p\ndef run(x): return p.go(x)\n', 'p/s', 'a+1', 'a+2'),
    ('relative2', {'p/__init__': 'def go(x):\n    from .s import f\n    return f(x)\n', 'p/s': 'def f(a): return a+1\n'}, 'import p\ndef run(x): return p.go(x)\n', 'p/s', 'a+1', 'a+2'),
    ('inside stored in closure', {'h': 'def f(a): return a+1\n'}, 'def run(x):\n    import h\n    def g(): return h.f(x)\n    return g()\n', 'h', 'a+1', 'a+2'),
    ('inside in loop', {'h': 'def f(a): return a+1\n'}, 'def run(x):\n    import h\n    return [h.f(i) for i in range(x)]\n', 'h', 'a+1', 'a+2'),
    ('alias module', {'h': 'def f(a): return a+1\n'}, 'import h\ndef run(x):\n    m=h\n    return m.f(x)\n', 'h', 'a+1', 'a+2'),
    ('module in dict', {'h': 'def f(a): return a+1\n'}, "import h\nD={'h':h}\ndef run(x):\n    return D['h'].f(x)\n", 'h', 'a+1', 'a+2'),
    ('setter', {'h': 'class M:\n    @property\n    def p(s): return 0\n    @p.setter\n    def p(s,v): s.x=1\n'}, 'import h\ndef run(x):\n    m=h.M(); m.p=3\n    return m.x\n', 'h', 'x=1', 'x=2'),
    ('init_subclass', {'h': 'class B:\n    def __init_subclass__(c): c.v=1\nclass M(B): pass\n'}, 'import h\ndef run(x): return h.M.v\n', 'h', 'c.v=1', 'c.v=2'),
    ('nested dicts', {'h': "def f(a): return a+1\nD={'a':{'b':[f]}}\n"}, "import h\ndef run(x): return h.D['a']['b'][0](x)\n", 'h', 'a+1', 'a+2'),
    ('itemgetter', {'h': 'import operator\nG=operator.itemgetter(1)\n'}, 'import h\ndef run(x): return h.G(x)\n', 'h', '(1)', '(2)'),
    ('regex', {'h': "import re\nG=re.compile('a')\n"}, 'import h\ndef run(x): return h.G.match(x)\n', 'h', "'a'", "'b'"),
    ('regex flag', {'h': "import re\nG=re.compile('a')\n"}, 'import h\ndef run(x): return h.G.match(x)\n', 'h', "('a')", "('a',re.I)"),
    ('inner lambda', {'h': 'def f(a): return sorted(a,key=lambda q:-q)\n'}, 'import h\ndef run(x): return h.f(x)\n', 'h', '-q', 'q'),
    ('fstring', {'h': "def f(a): return f'a{a}'\n"}, 'import h\ndef run(x): return h.f(x)\n', 'h', "'a{", "'b{"),
    ('annotation', {'h': 'def f(a: int): return a\n'}, 'import h\ndef run(x): return h.f(x)\n', 'h', 'int', 'float'),
    ('callable instance', {'h': 'class C:\n    def __call__(s,a): return a+1\nG=C()\n'}, 'import h\ndef run(x): return h.G(x)\n', 'h', 'a+1', 'a+2'),
    ('base of instance', {'h': 'class B:\n    def go(s,a): return a+1\nclass C(B): pass\nG=C()\n'}, 'import h\ndef run(x): return h.G.go(x)\n', 'h', 'a+1', 'a+2'),
    ('instance attr', {'h': 'class C:\n    def __init__(s): s.v=1\nG=C()\n'}, 'import h\ndef run(x): return h.G.v\n', 'h', 's.v=1', 's.v=2'),
    ('bound method global', {'h': 'class C:\n    def go(s,a): return a+1\nG=C().go\n'}, 'import h\ndef run(x): return h.G(x)\n', 'h', 'a+1', 'a+2'),
    ('function attribute', {'h': 'def f(a): return f.v\nf.v=1\n'}, 'import h\ndef run(x): return h.f(x)\n', 'h', 'f.v=1', 'f.v=2'),
    ('slots', {'h': "class C:\n    __slots__=('a',)\n    def go(s): return 1\n"}, 'import h\ndef run(x): return h.C().go()\n', 'h', 'return 1', 'return 2'),
    ('generic', {'h': "import typing\nT=typing.TypeVar('T')\nclass C(typing.Generic[T]):\n    def go(s): return 1\n"}, 'import h\ndef run(x): return h.C[int]().go()\n', 'h', 'return 1', 'return 2'),
    ('abc', {'h': 'import abc\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def go(s): return 1\nclass C(A):\n    def go(s): return super().go()\n'}, 'import h\ndef run(x): return h.C().go()\n', 'h', 'return 1', 'return 2'),
    ('cached_property', {'h': 'import functools\nclass C:\n    @functools.cached_property\n    def go(s): return 1\n'}, 'import h\ndef run(x): return h.C().go\n', 'h', 'return 1', 'return 2'),
    ('lru method', {'h': 'import functools\nclass C:\n    @functools.lru_cache\n    def go(s): return 1\n'}, 'import h\ndef run(x): return h.C().go()\n', 'h', 'return 1', 'return 2'),
    ('walrus default expr', {'h': 'V=1\ndef f(a,b=V): return b\n'}, 'import h\ndef run(x): return h.f(x)\n', 'h', 'V=1', 'V=2'),
    ('global from file', {'h': "import pathlib\nV=pathlib.Path('v.txt').read_text()\ndef f(a): return V\n"}, 'import h\ndef run(x): return h.f(x)\n', 'v.txt', 'one', 'two'),
    ('global path content', {'h': "import pathlib\nP=pathlib.Path('v.txt')\ndef f(a): return P.read_text()\n"}, 'import h\ndef run(x): return h.f(x)\n', 'v.txt', 'one', 'two'),
    ('exception handler', {'h': 'class E(Exception):\n    v=1\n'}, 'import h\ndef run(x):\n    try: return 1\n    except h.E as e: return e.v\n', 'h', 'v=1', 'v=2'),
    ('match class', {'h': "class P:\n    __match_args__=('a','b')\n"}, 'import h\ndef run(x):\n    match x:\n        case h.P(q,r): return q\n', 'h', "'a','b'", "'b','a'"),
    ('with', {'h': 'class C:\n    def __enter__(s): return 1\n    def __exit__(s,*a): pass\n'}, 'import h\ndef run(x):\n    with h.C() as c: return c\n', 'h', 'return 1', 'return 2'),
    ('conditional def', {'h': 'FLAG=True\nif FLAG:\n    def f(a): return 1\nelse:\n    def f(a): return 2\n'}, 'import h\ndef run(x): return h.f(x)\n', 'h', 'FLAG=True', 'FLAG=False'),
    ('swap names', {'h': 'def f(a): return 1\ndef g(a): return 2\np=f\nq=g\n'}, 'import h\ndef run(x): return h.p(x)-h.q(x)\n', 'h', 'p=f\nq=g', 'p=g\nq=f'),
    ('set const', {'h': 'def f(a): return a in {1,2,3}\n'}, 'import h\ndef run(x): return h.f(x)\n', 'h', '{1,2,3}', '{1,2,4}'),
    ('nested const', {'h': "def f(a): return (1,(2,(3.0,'x')))\n"}, 'import h\ndef run(x): return h.f(x)\n', 'h', '3.0', '3'),
    ('neg zero', {'h': 'def f(a): return 0.0\n'}, 'import h\ndef run(x): return h.f(x)\n', 'h', '0.0', '-0.0'),
    ('singleton const', {'h': 'def f(a): return True\n'}, 'import h\ndef run(x): return h.f(x)\n', 'h', 'True', '1'),
    ('mutable default obj', {'h': 'class C:\n    def __init__(s): s.v=1\ndef f(a,c=C()): return c.v\n'}, 'import h\ndef run(x): return h.f(x)\n', 'h', 's.v=1', 's.v=2'),
    ('object array global', {'h': "import numpy as np\nA=np.array([1,'a'],dtype=object)\n"}, 'import h\ndef run(x): return h.A\n', 'h', "'a'", "'b'"),
    ('dataframe global', {'h': "import pandas as pd\nA=pd.DataFrame({'a':['x']})\n"}, 'import h\ndef run(x): return h.A\n', 'h', "'x'", "'y'"),
    ('async helper', {'h': 'async def f(a): return 1\n'}, 'import h\nasync def run(x): return await h.f(x)\n', 'h', 'return 1', 'return 2'),
    ('generator helper', {'h': 'def f(a):\n    yield 1\n'}, 'import h\ndef run(x): return list(h.f(x))\n', 'h', 'yield 1', 'yield 2'),
    ('staticmethod alias', {'h': 'def g(a): return 1\nclass C:\n    go=staticmethod(g)\n'}, 'import h\ndef run(x): return h.C.go(x)\n', 'h', 'return 1', 'return 2'),
    ('sub of base via super init', {'h': 'class B:\n    def __init__(s): s.v=1\nclass C(B):\n    def __init__(s): super().__init__()\n'}, 'import h\ndef run(x): return h.C().v\n', 'h', 's.v=1', 's.v=2'),
]  # fmt: skip


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str, str]]:
    """The key before the edit, once more in another process, and after."""
    wanted = []
    for _what, modules, flow, file, old, new in CASES:
        for edited in (False, True):
            folder = tmp_path_factory.mktemp("project")
            texts = {f"{name}.py": text for name, text in modules.items()}
            texts |= {"flow.py": f"{flow}\nCALLS = {{'run': (run, (1,))}}\n", "v.txt": "one"}
            if edited:
                name = file if file in texts else f"{file}.py"
                assert old in texts[name]
                texts[name] = texts[name].replace(old, new)
            for name, text in texts.items():
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text(text)
            wanted += [f"{folder}:run"] * (1 if edited else 2)
    lines = subprocess.run(
        [sys.executable, KEYS, *wanted], capture_output=True, text=True, timeout=280, check=True
    ).stdout.splitlines()
    assert len(lines) == len(wanted)
    return {
        what: (lines[3 * place], lines[3 * place + 1], lines[3 * place + 2])
        for place, (what, *_) in enumerate(CASES)
    }


@pytest.mark.parametrize("what", [case[0] for case in CASES])
def test_an_edit_in_an_odd_place_is_a_miss(
    keys: dict[str, tuple[str, str, str]], what: str
) -> None:
    """The same code has the same key, edited code another."""
    before, again, after = keys[what]

    assert len(before) == len(after) == 40, (before, after)
    assert before == again
    assert before != after
