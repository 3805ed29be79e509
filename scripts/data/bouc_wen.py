"""Simulator of the Bouc-Wen oscillator, a mass on a spring with hysteresis.

The system is the benchmark of J.P. Noël and M. Schoukens, "Hysteretic benchmark with a dynamic
nonlinearity", Workshop on Nonlinear System Identification Benchmarks, 2016:

    m y'' + c y' + k y + z = u
    z' = alpha y' - beta (gamma |y'| z + delta y' |z|)

with the force u in N, the displacement y in m and the hysteretic force z in N, which no sensor
sees: the displacement depends on the path of the force, and not on its present value alone.
The benchmark's exponent nu is 1 and does not appear. All quantities here are in SI units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

SIMULATION_RATE_HZ = 15000.0
RECORD_RATE_HZ = 750.0
# A filter of low order is steep enough for a small factor, and blunt for one stage of 20.
DECIMATION_STAGES = (2, 2, 5)
FILTER_ORDER = 30

# Newton converges quadratically: after a correction this small the error is below rounding.
NEWTON_TOLERANCE_M_S = 1e-10
NEWTON_MAX_ITERATIONS = 50


@dataclass(frozen=True, slots=True)
class BoucWen:
    """Constants of the oscillator; the defaults are the benchmark's."""

    mass_kg: float = 2.0
    damping_n_s_m: float = 10.0
    stiffness_n_m: float = 5e4
    alpha_n_m: float = 5e4
    beta_per_m: float = 1e3
    gamma: float = 0.8
    delta: float = -1.1

    def hysteresis_rate(self, velocity: float, hysteresis: float) -> float:
        """Return z' in N/s at a velocity in m/s and a hysteretic force in N."""
        bend = self.gamma * abs(velocity) * hysteresis + self.delta * velocity * abs(hysteresis)
        return self.alpha_n_m * velocity - self.beta_per_m * bend

    def hysteresis_rate_slope(self, velocity: float, hysteresis: float, slope: float) -> float:
        """Return dz'/dv where z follows v with dz/dv = slope (N s/m)."""
        sign_v = 1.0 if velocity >= 0.0 else -1.0
        sign_z = 1.0 if hysteresis >= 0.0 else -1.0
        by_velocity = self.gamma * sign_v * hysteresis + self.delta * abs(hysteresis)
        by_hysteresis = self.gamma * abs(velocity) + self.delta * velocity * sign_z
        return self.alpha_n_m - self.beta_per_m * (by_velocity + by_hysteresis * slope)


BENCHMARK = BoucWen()


def simulate(
    force_n: FloatArray,
    system: BoucWen = BENCHMARK,
    rate_hz: float = SIMULATION_RATE_HZ,
) -> tuple[FloatArray, FloatArray]:
    """Return displacement (m) and velocity (m/s) under a force (N), starting at rest.

    Newmark's method with gamma 1/2 and beta 1/4 is the trapezoidal rule for displacement,
    velocity and hysteretic force. All three are then known functions of the new velocity, so
    that each step is one scalar equation and plain Python is fast enough.
    """
    half = 0.5 / rate_hz
    mass, damping, stiffness = system.mass_kg, system.damping_n_s_m, system.stiffness_n_m
    slope = -(mass / half + damping + stiffness * half)
    forces: list[float] = np.asarray(force_n, dtype=np.float64).tolist()
    y = v = z = z_rate = 0.0
    acceleration = forces[0] / mass if forces else 0.0
    displacement, velocity = np.zeros(len(forces)), np.zeros(len(forces))
    for i, force in enumerate(forces[1:], start=1):
        v_known = v + half * acceleration
        y_known = y + half * v
        z_known = z + half * z_rate
        offset = force + mass / half * v_known - stiffness * y_known
        v = _new_velocity(system, v_known + half * acceleration, (offset, slope), z_known, half)
        z_rate = system.hysteresis_rate(v, offset + slope * v)
        z = z_known + half * z_rate
        y = y_known + half * v
        acceleration = (force - damping * v - stiffness * y - z) / mass
        displacement[i], velocity[i] = y, v
    return displacement, velocity


def _new_velocity(
    system: BoucWen, guess: float, balance: tuple[float, float], z_known: float, half: float
) -> float:
    """Return the velocity (m/s) at which the force balance and the hysteresis law agree.

    The balance of forces asks for z = offset + slope v, the trapezoidal rule of half a step
    ``half`` (s) for z = z_known + half z'(v, z); Newton's method finds where they meet.
    """
    offset, slope = balance
    v = guess
    for _ in range(NEWTON_MAX_ITERATIONS):
        z = offset + slope * v
        residual = z - z_known - half * system.hysteresis_rate(v, z)
        change = residual / (slope - half * system.hysteresis_rate_slope(v, z, slope))
        v -= change
        if abs(change) < NEWTON_TOLERANCE_M_S:
            return v
    raise RuntimeError("Newton's method did not converge: is the force finite?")


def decimate(signal: FloatArray, stages: Sequence[int] = DECIMATION_STAGES) -> FloatArray:
    """Low-pass and thin out a signal by each factor in turn, without phase shift.

    Each stage mirrors the signal at both ends about its end value, so that a record that starts
    at rest has no edge effect there. Sample k of the result is at the time of sample k times the
    product of the factors.
    """
    for factor in stages:
        padded = np.pad(signal, FILTER_ORDER // 2, mode="reflect", reflect_type="odd")
        signal = np.convolve(padded, _low_pass(factor), mode="valid")[::factor]
    return signal


def _low_pass(factor: int) -> FloatArray:
    """Return a windowed-sinc filter (Hamming, unit gain at rest) that cuts at 1/factor."""
    taps = np.arange(FILTER_ORDER + 1) - FILTER_ORDER / 2
    kernel = np.sinc(taps / factor) * np.hamming(FILTER_ORDER + 1)
    return np.asarray(kernel / kernel.sum(), dtype=np.float64)
