"""Files of models on the Hugging Face hub: what goes up, and what comes down at one revision."""

import os
import re
from pathlib import Path

# Names in a repository: the file that ``save`` writes, as it is, and the card that pages show.
MODEL, CARD = "model.samba", "README.md"


def hub():
    """Import huggingface_hub, or say how to get it."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            "Sharing models needs huggingface_hub: pip install huggingface_hub (extra 'hub')."
        ) from error
    return huggingface_hub


def upload(repo: str, model: Path, card: str, *, private: bool, token, message: str) -> str:
    """Put a file and its card into a repository in one commit; give the commit's hash."""
    lib = hub()
    api = lib.HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token)
    api.create_repo(repo, private=private, exist_ok=True)
    files = {MODEL: str(model), CARD: card.encode()}
    operations = [lib.CommitOperationAdd(name, content) for name, content in files.items()]
    return api.create_commit(repo, operations, commit_message=message).oid


def download(repo: str, revision: str, token) -> str:
    """Get the file of a model at one commit; give its path in the cache."""
    if not (isinstance(revision, str) and re.fullmatch(r"[0-9a-f]{40}", revision)):
        raise ValueError(
            "revision must be the whole hash of a commit (40 digits, as push_to_hub returns and "
            f"the repository's history shows), got {revision!r:.60}: what a branch or tag means "
            "may change."
        )
    endpoint = os.environ.get("HF_ENDPOINT")
    return hub().hf_hub_download(repo, MODEL, revision=revision, token=token, endpoint=endpoint)
