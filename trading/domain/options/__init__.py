"""Options: prices and greeks, implied volatility, iron condors, gamma exposure, odd activity.

Volatilities, rates and yields are annual fractions, times are years, prices are per unit of the
asset.  Options are European on an asset with a continuous yield.
"""
