"""scikit-learn's own checks of LearnableHRF and FramewiseRegressor."""

from sklearn.linear_model import Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

from mne_samba.transformers._framewise import FramewiseRegressor
from mne_samba.transformers._learnable_hrf import LearnableHRF


@parametrize_with_checks([LearnableHRF(t_r=2.0, verbose=False), FramewiseRegressor(Ridge())])
def test_estimator_checks(estimator, check):
    check(estimator)
