"""How much vaccination stops an epidemic? Run with: scalable run

Each scenario is one year of a susceptible-exposed-infectious-recovered model for one basic reproduction
number R0 and one share of the people who are vaccinated beforehand.
"""

from scalable import ScalableSession

R0S = [1.5, 2.0, 3.0, 5.0, 8.0, 12.0]
VACCINATED = [0.0, 0.2, 0.4, 0.6, 0.8]


def simulate(r0: float, vaccinated: float) -> float:
    """Return the share of all people who are infected within a year."""
    incubation, illness = 5.0, 7.0  # days
    susceptible, exposed, infectious = 1.0 - vaccinated - 1e-4, 1e-4, 0.0
    step = 1.0 / 240  # of a day
    for _ in range(365 * 240):
        infections = r0 / illness * susceptible * infectious * step
        onsets = exposed / incubation * step
        recoveries = infectious / illness * step
        susceptible -= infections
        exposed += infections - onsets
        infectious += onsets - recoveries
    return 1.0 - vaccinated - susceptible


def main() -> None:
    """Run every scenario on the workers and print the table."""
    scenarios = [(r0, vaccinated) for r0 in R0S for vaccinated in VACCINATED]
    with ScalableSession.from_yaml("./scalable.yaml") as client:
        futures = [client.submit(simulate, *scenario, task="simulate") for scenario in scenarios]
        infected = dict(zip(scenarios, client.gather(futures), strict=True))

    print("Infected within a year, in percent of all people")
    print("  R0  " + "".join(f"{f'{v:.0%} vacc.':>12}" for v in VACCINATED))
    for r0 in R0S:
        print(f"{r0:4.1f}  " + "".join(f"{infected[r0, v]:12.1%}" for v in VACCINATED))


if __name__ == "__main__":
    main()
