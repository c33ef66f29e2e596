"""What an attack costs, counted where it calls the model: no attack is asked."""

from torch import Tensor, nn

from bench.deadline import Deadline


class Counted(nn.Module):
    """A classifier that counts the images sent through it, while there is time.

    Attributes:
        forwards: Images sent forward.
        backwards: Images for which a gradient was computed.
    """

    def __init__(self, classifier: nn.Module, deadline: Deadline) -> None:
        """Wrap a classifier."""
        super().__init__()
        self.classifier = classifier
        self.deadline = deadline
        self.forwards = 0
        self.backwards = 0

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits.

        Raises:
            CellError: Time is up.
        """
        self.deadline.check()
        logits: Tensor = self.classifier(images)
        self.forwards += len(images)
        if logits.requires_grad:
            logits.register_hook(self._note)
        return logits

    def _note(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)
