FROM python:3.11-slim
LABEL droplet.id="25" droplet.name="Treasury Magnet" droplet.version="0.1.0" droplet.udc_compliant="true" droplet.capabilities="algorithmic_trading,survival_fuse"
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
RUN useradd --uid 1000 --create-home magnet
RUN mkdir /home/magnet/data && chown magnet:magnet /home/magnet/data
WORKDIR /app
COPY requirements.txt .
RUN pip install --require-hashes -r requirements.txt
COPY --chown=magnet:magnet . .
USER magnet
ENV MAGNET_HOME=/home/magnet/data
EXPOSE 8000
CMD ["python", "-m", "magnetfund.operations.web_server", "--host", "0.0.0.0", "--port", "8000"]
