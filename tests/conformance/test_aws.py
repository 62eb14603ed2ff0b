"""The `aws` provider passes the conformance kit on a local AWS that runs its tasks."""

from __future__ import annotations

import pytest
from aws_steps import look_often

from scalable_core.testing.conformance import ClusterConformance


def give_way_out(ec2):
    """Give the default network a gateway, as every real account's has."""
    if ec2.describe_internet_gateways()["InternetGateways"]:
        return
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc["VpcId"])
    (table,) = ec2.describe_route_tables()["RouteTables"]
    ec2.create_route(
        RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway
    )


class TestAwsClusters(ClusterConformance):
    """Fargate."""

    provider = "aws"
    steps = "aws_steps:count_calls"
    kills = 4

    @pytest.fixture(autouse=True, scope="class")
    def service(self, request, local_aws, environ):
        """A user of the local AWS, which is looked at often."""
        for name in [name for name in environ if name.startswith("AWS_")]:
            del environ[name]
        environ.update(local_aws.environment)
        environ["AWS_ACCESS_KEY_ID"] = "AKIACONFORMANCE"
        image = local_aws.environment["SOLAR_IMAGE"]
        request.cls.target = {"region": "us-east-1", "image": image}
        request.cls.bed = local_aws
        give_way_out(local_aws.client("ec2"))
        with pytest.MonkeyPatch.context() as patch:
            look_often(patch.setattr)
            yield

    def lose_worker(self, client, address):
        """Stop its task, as somebody in the console might."""
        name = client.scheduler_info(n_workers=-1)["workers"][address]["name"]
        ecs = self.bed.client("ecs")
        for cluster in ecs.list_clusters()["clusterArns"]:
            for task in self.bed.tasks(cluster):
                if name in str(task) and client.session.run_id in str(task):
                    ecs.stop_task(cluster=cluster, task=task["taskArn"], reason="console")
