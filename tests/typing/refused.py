"""Code that type checkers refuse. Each error is awaited: one that did not come is an error."""

import mne_samba
from mne_samba import CoreModel, PaperModel, Reader, SambaTranslator

SambaTranslator(nonsense=3)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
SambaTranslator(2.0)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
SambaTranslator(t_r="2 s")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
SambaTranslator(model="lstm")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
SambaTranslator(reader="R128")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
CoreModel(hrf="gamma")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
CoreModel(corrections="always")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
PaperModel(bands={"alpha": (8.0, 13.0)})  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
Reader(channels="drop")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
print(mne_samba.Translator)  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
