# docker build -t transformertf .
# docker run --rm -v "$PWD:/data" transformertf fit --config my.yml
FROM python:3.12-slim
WORKDIR /opt/transformertf
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY transformertf transformertf
RUN pip install --no-cache-dir --constraint constraints.txt '.[plot]'
WORKDIR /data
ENTRYPOINT ["transformertf"]
